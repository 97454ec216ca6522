"""What a client of Ollama may ask (docs.ollama.com/api); the rest of it, such as num_ctx and keep_alive, is ignored."""

from typing import Annotated, Any, Literal

import msgspec

from ocg.protocol.openai import Tool
from ocg.protocol.replies import MAX_STOPS, MAX_TOOLS
from ocg.protocol.struct import Struct

# Clients in JavaScript and Go send whole numbers as they like.
_Number = int | float


class OllamaFunction(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which function, with which arguments; `index` is its place among the calls of an answer."""

    name: str
    arguments: dict[str, Any] | None = None
    index: int | None = None


class OllamaCall(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A call of a tool; many clients send no id."""

    function: OllamaFunction
    id: str | None = None


class OllamaMessage(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A message of a conversation that the client keeps, and what the model adds to it.

    A tool's result says by id or name, or by its place alone, which call it answers.
    """

    role: Literal["system", "user", "assistant", "tool"]
    content: str | None = None
    thinking: str | None = None
    images: tuple[str, ...] | None = None
    tool_calls: Annotated[tuple[OllamaCall, ...], msgspec.Meta(max_length=MAX_TOOLS)] | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None


class OllamaOptions(Struct, frozen=True, kw_only=True):
    """What tunes an answer; below zero a number means that there is none."""

    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    seed: _Number | None = None
    num_predict: _Number | None = None
    stop: str | Annotated[tuple[str, ...], msgspec.Meta(max_length=MAX_STOPS)] | None = None


class Asked(Struct, frozen=True, kw_only=True):
    """What a chat and a completion have in common; `format` is empty, `json` or a schema."""

    model: str
    stream: bool | None = None
    format: Literal["", "json"] | dict[str, Any] | None = None
    options: OllamaOptions | None = None
    think: bool | str | None = None

    @property
    def streams(self) -> bool:
        """Whether a stream is wanted, as it is unless the client says otherwise."""
        return self.stream is not False

    @property
    def wants_thoughts(self) -> bool:
        """Whether the answer shows what the model thinks, as it does unless the client says otherwise."""
        return self.think is not False


class OllamaChat(Asked, frozen=True, kw_only=True):
    """POST /api/chat."""

    messages: Annotated[tuple[OllamaMessage, ...], msgspec.Meta(max_length=4096)] = ()
    tools: Annotated[tuple[Tool, ...], msgspec.Meta(max_length=MAX_TOOLS)] | None = None


class OllamaPrompt(Asked, frozen=True, kw_only=True):
    """POST /api/generate, with what is refused."""

    prompt: str = ""
    system: str = ""
    images: tuple[str, ...] | None = None
    suffix: str = ""
    template: str = ""
    raw: bool = False
    context: tuple[int, ...] | None = None


class EmbedRequest(Struct, frozen=True, kw_only=True):
    """POST /api/embed."""

    model: str
    input: str | tuple[str, ...]
    truncate: bool | None = None
    dimensions: Annotated[int, msgspec.Meta(ge=1)] | None = None


class EmbeddingsRequest(Struct, frozen=True, kw_only=True):
    """POST /api/embeddings, which is older."""

    model: str
    prompt: str


class ShowRequest(Struct, frozen=True, kw_only=True):
    """POST /api/show; older clients call the model its name."""

    model: str = ""
    name: str = ""


def plain(model: str) -> str:
    """Return a model's name as we call it: Ollama's clients add `:latest` where there is no tag."""
    return model.removesuffix(":latest")
