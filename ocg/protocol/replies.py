"""What a client may ask of a reply: what tunes it, what form it must have, and tools that the client runs itself."""

from typing import Annotated, Any, Literal

import msgspec

from ocg.protocol.struct import Struct

MAX_TOOLS = 128
MAX_STOPS = 16

ToolName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}\Z")]


class ClientTool(Struct, frozen=True):
    """A tool that the client runs; `parameters` is a JSON schema."""

    name: ToolName
    description: str = ""
    parameters: dict[str, Any] = msgspec.field(default_factory=lambda: {"type": "object"})


class NamedTool(Struct, frozen=True):
    """The model must call this one."""

    name: ToolName


class JsonForm(Struct, frozen=True):
    """The answer must be a JSON value: of this schema, or an object of any kind where there is none.

    With `strict` an API that can holds the model to every letter of the schema, and refuses one that it cannot.
    """

    schema: dict[str, Any] | None = None
    name: str = "answer"
    strict: bool | None = None


class ReplyOptions(Struct, frozen=True):
    """How a reply is made; what is None is the model's own way. `max_tokens` counts those of the answer."""

    max_tokens: Annotated[int, msgspec.Meta(ge=1)] | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, msgspec.Meta(gt=0, le=1)] | None = None
    seed: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] | None = None
    stop: Annotated[tuple[str, ...], msgspec.Meta(max_length=MAX_STOPS)] = ()
    tools: Annotated[tuple[ClientTool, ...], msgspec.Meta(max_length=MAX_TOOLS)] = ()
    tool_choice: Literal["auto", "none", "required"] | NamedTool = "auto"
    parallel_calls: bool | None = None
    form: JsonForm | None = None
