"""POST /v1/responses: what is asked, and the chat that it becomes."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec

from ocg.gateway.openai.responses.items import Item, full_name, messages_of
from ocg.protocol import wire
from ocg.protocol.asking import wrong
from ocg.protocol.messages import Name
from ocg.protocol.openai import (
    ChatMessage,
    ChatRequest,
    ChosenFunction,
    Function,
    JsonSchema,
    ResponseFormat,
    Tokens,
    Tool,
    ToolChoice,
)
from ocg.protocol.replies import MAX_TOOLS, ToolName
from ocg.protocol.struct import Struct

MAX_ITEMS = 4096
MetaKey = Annotated[str, msgspec.Meta(max_length=64)]
MetaValue = Annotated[str, msgspec.Meta(max_length=512)]


class TextFormat(Struct, frozen=True, omit_defaults=True):
    """What form the answer must have."""

    type: Literal["text", "json_object", "json_schema"]
    name: str = "answer"
    schema: dict[str, Any] | None = None
    strict: bool | None = None
    description: str | None = None


class TextOptions(Struct, frozen=True):
    """How the answer's text is; `verbosity` is the model's own business."""

    format: TextFormat = TextFormat(type="text")
    verbosity: str | None = None


class ReasoningOptions(Struct, frozen=True):
    """How the model thinks, which the settings of its provider say."""

    effort: str | None = None
    summary: str | None = None


class FunctionTool(Struct, frozen=True, tag_field="type", tag="function"):
    """A tool that the client runs; `parameters` is a JSON schema."""

    name: ToolName
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class ToolGroup(Struct, frozen=True, tag_field="type", tag="namespace"):
    """Tools that the client runs, and what they have in common."""

    name: ToolName
    tools: Annotated[tuple[FunctionTool, ...], msgspec.Meta(max_length=MAX_TOOLS)]
    description: str = ""


class NamedFunction(Struct, frozen=True, tag_field="type", tag="function"):
    """The one tool that must be called."""

    name: ToolName


class AllowedTools(Struct, frozen=True, tag_field="type", tag="allowed_tools"):
    """Only these of the tools may be called, or must be."""

    mode: Literal["auto", "required"]
    tools: Annotated[tuple[NamedFunction, ...], msgspec.Meta(max_length=MAX_TOOLS)]


Choice = Literal["none", "auto", "required"] | NamedFunction | AllowedTools


class CreateResponse(Struct, frozen=True):
    """What a client asks; what is null counts as left out."""

    input: str | Annotated[tuple[dict[str, Any], ...], msgspec.Meta(max_length=MAX_ITEMS)] = ()
    model: str = ""
    instructions: str | None = None
    previous_response_id: Name | None = None
    store: bool | None = None
    stream: bool | None = None
    tools: Annotated[tuple[dict[str, Any], ...], msgspec.Meta(max_length=MAX_TOOLS)] | None = None
    tool_choice: Choice | None = None
    parallel_tool_calls: bool | None = None
    max_output_tokens: Tokens | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, msgspec.Meta(gt=0, le=1)] | None = None
    text: TextOptions | None = None
    reasoning: ReasoningOptions | None = None
    metadata: Annotated[dict[MetaKey, MetaValue], msgspec.Meta(max_length=16)] | None = None
    truncation: Literal["auto", "disabled"] | None = None
    user: str | None = None
    background: bool | None = None
    conversation: Any = None
    prompt: Any = None
    top_logprobs: int | None = None

    def check(self) -> None:
        """Refuse what would change the answer and is not offered. Raises INVALID_REQUEST."""
        if self.background:
            raise wrong("background", "OCG answers while the client waits", "leave it out; a turn goes on by itself")
        if self.conversation is not None:
            raise wrong("conversation", "not offered", "give previous_response_id, or the header X-OCG-Session")
        if self.prompt is not None:
            raise wrong("prompt", "OCG keeps no prompt templates", "send instructions and input")
        if self.top_logprobs:
            raise wrong("top_logprobs", "not offered", "leave it out")

    @property
    def is_kept(self) -> bool:
        """Whether the response can be gone on from; it is unless that is not wanted."""
        return self.store is not False


def tools_of(asked: CreateResponse) -> tuple[FunctionTool | ToolGroup, ...]:
    """Read the tools. Raises INVALID_REQUEST for those that OpenAI's servers run."""
    return tuple(_tool(fields, f"tools[{number}]") for number, fields in enumerate(asked.tools or ()))


def _tool(fields: dict[str, Any], where: str) -> FunctionTool | ToolGroup:
    match fields.get("type"):
        case "function":
            return wire.convert(FunctionTool, fields, where=where)
        case "namespace":
            return wire.convert(ToolGroup, fields, where=where)
        case kind:
            hint = "leave it out: model 'ocg' has tools of its own; or pass a function that your program runs"
            raise wrong(f"{where}.type", f"{str(kind)[:40]!r} is a tool that OCG does not have", hint)


def functions_of(tools: Sequence[FunctionTool | ToolGroup]) -> dict[str, tuple[FunctionTool, str | None]]:
    """Return the functions by the names that a model is told, each with the group it is of."""
    found: dict[str, tuple[FunctionTool, str | None]] = {}
    for tool in tools:
        group = tool if isinstance(tool, ToolGroup) else None
        for one in (tool,) if isinstance(tool, FunctionTool) else tool.tools:
            space = group.name if group else None
            found[full_name(one.name, space)] = (one, space)
    return found


def chat_of(asked: CreateResponse, items: tuple[Item, ...]) -> ChatRequest:
    """Turn a request into a chat; `items` are the whole conversation. Raises INVALID_REQUEST."""
    said = (ChatMessage(role="system", content=asked.instructions),) if asked.instructions else ()
    messages = messages_of(items)
    if not messages:
        raise wrong("input", "says nothing", "send some text, or items")
    if len(said + messages) > MAX_ITEMS:
        raise wrong("input", f"more than {MAX_ITEMS} messages with those before them", "begin a new conversation")
    tools = _offered(asked)
    # Without tools, servers refuse even what says nothing about them.
    has_choice = bool(tools) or asked.tool_choice not in {None, "auto", "none"}
    return ChatRequest(
        messages=said + messages,
        model=asked.model,
        max_completion_tokens=asked.max_output_tokens,
        temperature=asked.temperature,
        top_p=asked.top_p,
        tools=tools or None,
        tool_choice=_choice(asked) if has_choice else None,
        parallel_tool_calls=asked.parallel_tool_calls if has_choice else None,
        response_format=_format(asked),
    )


def _offered(asked: CreateResponse) -> tuple[Tool, ...]:
    functions = functions_of(tools_of(asked))
    if isinstance(asked.tool_choice, AllowedTools):
        allowed = {one.name for one in asked.tool_choice.tools}
        functions = {name: one for name, one in functions.items() if name in allowed}
    return tuple(
        Tool(type="function", function=Function(name=name, description=one.description, parameters=one.parameters))
        for name, (one, _) in functions.items()
    )


def _choice(asked: CreateResponse) -> Literal["none", "auto", "required"] | ToolChoice | None:
    match asked.tool_choice:
        case NamedFunction(name=name):
            return ToolChoice(type="function", function=ChosenFunction(name=name))
        case AllowedTools(mode=mode):
            return mode
        case choice:
            return choice


def _format(asked: CreateResponse) -> ResponseFormat | None:
    form = asked.text.format if asked.text else TextFormat(type="text")
    if form.type != "json_schema":
        return ResponseFormat(type=form.type) if form.type == "json_object" else None
    if form.schema is None:
        raise wrong("text.format.schema", "is missing", "add the schema")
    schema = JsonSchema(schema=form.schema, name=form.name, strict=form.strict)
    return ResponseFormat(type="json_schema", json_schema=schema)
