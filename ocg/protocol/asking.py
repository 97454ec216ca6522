"""What a chat in OpenAI's form asks for, in ours."""

from collections.abc import Sequence

import msgspec

from ocg.errors import Code, OcgError
from ocg.protocol.messages import MAX_IMAGES, ContextMessage, Image, ToolUse
from ocg.protocol.openai import ChatMessage, ChatRequest, ToolChoice
from ocg.protocol.replies import ClientTool, JsonForm, NamedTool, ReplyOptions


def options_of(chat: ChatRequest) -> ReplyOptions:
    """Return what a chat asks of its answer."""
    stop = (chat.stop,) if isinstance(chat.stop, str) else chat.stop or ()
    choice = chat.tool_choice or "auto"
    return ReplyOptions(
        max_tokens=chat.max_completion_tokens or chat.max_tokens,
        temperature=chat.temperature,
        top_p=chat.top_p,
        seed=chat.seed,
        stop=stop,
        tools=tuple(
            ClientTool(
                name=one.function.name,
                description=one.function.description or "",
                parameters=one.function.parameters or {"type": "object"},
            )
            for one in chat.tools or ()
        ),
        tool_choice=NamedTool(name=choice.function.name) if isinstance(choice, ToolChoice) else choice,
        parallel_calls=chat.parallel_tool_calls,
        form=_form(chat),
    )


def _form(chat: ChatRequest) -> JsonForm | None:
    asked = chat.response_format
    if asked is None or asked.type == "text":
        return None
    if asked.type == "json_object":
        return JsonForm()
    if asked.json_schema is None or asked.json_schema.schema is None:
        raise wrong("response_format.json_schema", "is missing", "add the schema")
    found = asked.json_schema
    return JsonForm(schema=found.schema, name=found.name, strict=found.strict)


def images_of(message: ChatMessage, where: str) -> tuple[Image, ...]:
    """Return the pictures of the message at that place. Raises INVALID_REQUEST where one cannot be read."""
    if len(message.image_urls) > MAX_IMAGES:
        raise wrong(f"{where}.content", f"more than {MAX_IMAGES} pictures", "send fewer at once")
    return tuple(_image(url, f"{where}.content") for url in message.image_urls)


def _image(url: str, where: str) -> Image:
    """Read a `data:` URL (RFC 2397)."""
    head, _, data = url.partition(",")
    media_type = head.removeprefix("data:").removesuffix(";base64")
    try:
        return msgspec.convert({"media_type": media_type, "data": data}, Image)
    except msgspec.ValidationError:
        hint = "send it as data:image/png;base64,…, or jpeg, gif, webp; OCG fetches no picture for a client"
        raise wrong(where, "no picture that can be read", hint) from None


def context_of(messages: Sequence[ChatMessage]) -> tuple[ContextMessage, ...]:
    """Return a conversation that the client keeps. Raises INVALID_REQUEST where it cannot be read."""
    return tuple(_context_message(message, number) for number, message in enumerate(messages))


def _context_message(message: ChatMessage, number: int) -> ContextMessage:
    calls = tuple(
        ToolUse(id=one.id, name=one.function.name, arguments=one.function.arguments) for one in message.tool_calls or ()
    )
    return ContextMessage(
        role="system" if message.role == "developer" else message.role,
        content=message.text,
        images=images_of(message, f"messages[{number}]"),
        tool_calls=calls,
        tool_call_id=message.tool_call_id,
    )


def wrong(param: str, why: str, hint: str) -> OcgError:
    """Say which parameter does not fit."""
    return OcgError(Code.INVALID_REQUEST, f"{param}: {why}", hint, param=param)
