"""A request of the Messages API as the chat that it is, in the form that all of the gateway's chats have."""

from collections.abc import Iterator
from typing import Literal

from ocg.gateway.anthropic.request import (
    Base64Source,
    Block,
    CountRequest,
    DocumentBlock,
    ImageBlock,
    InputMessage,
    InputTool,
    InputToolChoice,
    MessagesRequest,
    OutputConfig,
    TextBlock,
    ToolResultBlock,
    ToolUseBlock,
)
from ocg.protocol import openai, wire
from ocg.protocol.asking import wrong

# In the other dialects a tool's result holds no pictures, so they follow it.
_PICTURED = "The pictures that the tools returned:"
_CHOICES: dict[str, Literal["auto", "required", "none"]] = {"auto": "auto", "any": "required", "none": "none"}


def chat_of(asked: MessagesRequest) -> openai.ChatRequest:
    """Translate. Raises INVALID_REQUEST."""
    return openai.ChatRequest(
        model=asked.model,
        messages=tuple(messages_of(asked)),
        max_tokens=asked.max_tokens,
        temperature=asked.temperature,
        top_p=asked.top_p,
        stop=asked.stop_sequences,
        tools=tuple(_tool(one) for one in asked.tools) or None,
        tool_choice=_choice(asked.tool_choice),
        parallel_tool_calls=False if asked.tool_choice and asked.tool_choice.disable_parallel_tool_use else None,
        response_format=_form(asked.output_config),
        user=(asked.metadata and asked.metadata.user_id) or "",
    )


def messages_of(asked: CountRequest) -> list[openai.ChatMessage]:
    """Lay out the system's prompt and the conversation.

    What the system says later goes before what is to be answered, which comes last in the other dialects.
    """
    system = asked.system if isinstance(asked.system, str) else "\n\n".join(one.text for one in asked.system)
    laid = [openai.ChatMessage(role="system", content=system)] if system else []
    last: list[openai.ChatMessage] = []
    for message in asked.messages:
        match message.role:
            case "system":
                laid.append(openai.ChatMessage(role="system", content=_text(message.blocks)))
            case "user":
                last += [*_results(message), *_said(message)]
            case "assistant":
                said = _assistants(message)
                laid += last if said.tool_calls else [*last, said]
                last = [said] if said.tool_calls else []  # the results belong behind it
    return laid + last


def _assistants(message: InputMessage) -> openai.ChatMessage:
    calls = tuple(_call(one) for one in message.blocks if isinstance(one, ToolUseBlock))
    return openai.ChatMessage(role="assistant", content=_text(message.blocks), tool_calls=calls or None)


def _call(block: ToolUseBlock) -> openai.AskedCall:
    arguments = wire.encode(block.input).decode()
    return openai.AskedCall(id=block.id, function=openai.FunctionCall(name=block.name, arguments=arguments))


def _results(message: InputMessage) -> Iterator[openai.ChatMessage]:
    for one in message.blocks:
        if isinstance(one, ToolResultBlock):
            text = f"Error: {_text(one.blocks)}" if one.is_error else _text(one.blocks)
            yield openai.ChatMessage(role="tool", content=text, tool_call_id=one.tool_use_id)


def _said(message: InputMessage) -> Iterator[openai.ChatMessage]:
    """Give what a message says beside results of tools, if it says anything."""
    results = [one for one in message.blocks if isinstance(one, ToolResultBlock)]
    shown = [picture for one in results for picture in _pictures(one.blocks)]
    pictures = (*shown, *_pictures(message.blocks))
    text = _text(message.blocks) or (_PICTURED if shown else "")
    if pictures:
        yield openai.ChatMessage(role="user", content=(openai.TextPart(text=text), *pictures))
    elif text or not results:
        yield openai.ChatMessage(role="user", content=text)


def _text(blocks: tuple[Block, ...]) -> str:
    return "\n\n".join(
        one.text if isinstance(one, TextBlock) else one.source.data
        for one in blocks
        if isinstance(one, TextBlock | DocumentBlock)
    )


def _pictures(blocks: tuple[Block, ...]) -> Iterator[openai.ImagePart]:
    for one in blocks:
        if isinstance(one, ImageBlock):
            source = one.source
            url = f"data:{source.media_type};base64,{source.data}" if isinstance(source, Base64Source) else source.url
            yield openai.ImagePart(image_url=openai.ImageUrl(url=url))


def _tool(tool: InputTool) -> openai.Tool:
    function = openai.Function(name=tool.name, description=tool.description, parameters=tool.input_schema)
    return openai.Tool(type="function", function=function)


def _choice(choice: InputToolChoice | None) -> Literal["auto", "required", "none"] | openai.ToolChoice | None:
    if choice is None or choice.type != "tool":
        return _CHOICES[choice.type] if choice else None
    if choice.name is None:
        raise wrong("tool_choice.name", "is missing", "name the tool that must be called")
    return openai.ToolChoice(type="function", function=openai.ChosenFunction(name=choice.name))


def _form(config: OutputConfig | None) -> openai.ResponseFormat | None:
    if config is None or config.format is None:
        return None
    return openai.ResponseFormat(type="json_schema", json_schema=openai.JsonSchema(schema=config.format.schema))
