"""The part of OpenAI's API that our services speak (platform.openai.com/docs/api-reference)."""

from typing import Annotated, Any, Literal

import msgspec

from ocg.protocol.messages import Usage
from ocg.protocol.replies import MAX_STOPS, MAX_TOOLS, ToolName
from ocg.protocol.struct import Struct

Tokens = Annotated[int, msgspec.Meta(ge=1)]
MAX_INPUTS = 10_000
# How many answers one request may ask for.
AnswerCount = Annotated[int, msgspec.Meta(ge=1, le=16)]


class TextPart(Struct, frozen=True, kw_only=True, tag_field="type", tag="text"):
    """A part of a message's content that is text."""

    text: str


class ImageUrl(Struct, frozen=True, kw_only=True):
    """Where a picture is: only in a `data:` URL, as we fetch nothing for anybody."""

    url: str


class ImagePart(Struct, frozen=True, kw_only=True, tag_field="type", tag="image_url"):
    """A part of a message's content that is a picture."""

    image_url: ImageUrl


class FunctionCall(Struct, frozen=True, kw_only=True):
    """Which function, with which arguments as JSON."""

    name: str
    arguments: str


class AskedCall(Struct, frozen=True, kw_only=True):
    """A call of a tool in a conversation that the client keeps."""

    function: FunctionCall
    id: str = ""
    type: Literal["function"] = "function"


class ChatMessage(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A message of a conversation that the client keeps."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | tuple[TextPart | ImagePart, ...] | None = None
    tool_calls: tuple[AskedCall, ...] | None = None
    tool_call_id: str | None = None

    @property
    def text(self) -> str:
        """The content's text, whatever form it came in."""
        if isinstance(self.content, tuple):
            return "".join(part.text for part in self.content if isinstance(part, TextPart))
        return self.content or ""

    @property
    def image_urls(self) -> tuple[str, ...]:
        """The pictures in the content."""
        parts = self.content if isinstance(self.content, tuple) else ()
        return tuple(part.image_url.url for part in parts if isinstance(part, ImagePart))


class Function(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A function that the client runs; `parameters` is a JSON schema."""

    name: ToolName
    description: str | None = None
    parameters: dict[str, Any] | None = None


class Tool(Struct, frozen=True, kw_only=True):
    """A tool that the client runs."""

    type: Literal["function"]
    function: Function


class ChosenFunction(Struct, frozen=True, kw_only=True):
    """Its name."""

    name: str


class ToolChoice(Struct, frozen=True, kw_only=True):
    """The one tool that must be called."""

    type: Literal["function"]
    function: ChosenFunction


class JsonSchema(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A JSON schema, and what it is called."""

    schema: dict[str, Any] | None = None
    name: str = "answer"
    strict: bool | None = None


class ResponseFormat(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What form the answer must have."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class StreamOptions(Struct, frozen=True, kw_only=True):
    """What a stream ends with."""

    include_usage: bool = False


class ChatRequest(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """POST /v1/chat/completions."""

    messages: Annotated[tuple[ChatMessage, ...], msgspec.Meta(min_length=1, max_length=4096)]
    model: str = ""
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: Tokens | None = None
    max_completion_tokens: Tokens | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, msgspec.Meta(gt=0, le=1)] | None = None
    seed: Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)] | None = None
    stop: str | Annotated[tuple[str, ...], msgspec.Meta(max_length=MAX_STOPS)] | None = None
    tools: Annotated[tuple[Tool, ...], msgspec.Meta(max_length=MAX_TOOLS)] | None = None
    tool_choice: Literal["none", "auto", "required"] | ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    n: AnswerCount | None = None
    logprobs: bool | None = None
    user: str = ""

    @property
    def wants_usage(self) -> bool:
        """Whether a stream ends with a chunk that has the usage."""
        return self.stream_options is not None and self.stream_options.include_usage


def with_model(body: bytes, model: str) -> bytes:
    """Return a request's body with another model's name, and else as it is. Raises what msgspec does."""
    fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    return msgspec.json.encode(fields | {"model": model})


class PromptDetails(Struct, frozen=True, kw_only=True):
    """How many of a prompt's tokens a cache had."""

    cached_tokens: int


class TokenCount(Struct, frozen=True, kw_only=True):
    """`usage` as OpenAI has it."""

    prompt_tokens: int
    completion_tokens: int = 0
    total_tokens: int
    prompt_tokens_details: PromptDetails | msgspec.UnsetType = msgspec.UNSET

    @classmethod
    def of(cls, usage: Usage) -> "TokenCount":
        """From ours."""
        cached = usage.cached_tokens
        return cls(
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            total_tokens=usage.total_tokens,
            prompt_tokens_details=PromptDetails(cached_tokens=cached) if cached else msgspec.UNSET,
        )


class CalledTool(Struct, frozen=True, kw_only=True):
    """A tool the model calls."""

    id: str
    function: FunctionCall
    type: Literal["function"]


class FunctionDelta(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a chunk adds to a function's name and arguments."""

    arguments: str
    name: str | None = None


class ToolCallDelta(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a chunk adds to the call of that index; the first has its id, type and name."""

    index: int
    function: FunctionDelta
    id: str | None = None
    type: Literal["function"] | None = None


class AnswerMessage(Struct, frozen=True, kw_only=True):
    """The answer, whole."""

    content: str | None
    role: Literal["assistant"] = "assistant"
    reasoning_content: str | msgspec.UnsetType = msgspec.UNSET
    tool_calls: tuple[CalledTool, ...] | msgspec.UnsetType = msgspec.UNSET


class Choice(Struct, frozen=True, kw_only=True):
    """The one choice there is."""

    message: AnswerMessage
    finish_reason: str
    index: int = 0


class ChatAnswer(Struct, frozen=True, kw_only=True):
    """The answer to a chat that is not streamed."""

    id: str
    created: int
    model: str
    choices: tuple[Choice, ...]
    usage: TokenCount
    object: str = "chat.completion"


class Delta(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a chunk adds."""

    role: str | None = None
    content: str | None = None
    reasoning_content: str | None = None
    tool_calls: tuple[ToolCallDelta, ...] | None = None


class ChunkChoice(Struct, frozen=True, kw_only=True):
    """The one choice of a chunk."""

    delta: Delta
    finish_reason: str | None = None
    index: int = 0


class ChatChunk(Struct, frozen=True, kw_only=True):
    """A chunk of a streamed answer; the last may have no choices and the usage."""

    id: str
    created: int
    model: str
    choices: tuple[ChunkChoice, ...] = ()
    usage: TokenCount | None = None
    object: str = "chat.completion.chunk"


class EmbeddingRequest(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """POST /v1/embeddings. With `truncate`, which is ours, of a text that is too long the beginning is embedded."""

    # Its length is checked by who embeds, and told.
    input: str | Annotated[tuple[str, ...], msgspec.Meta(min_length=1, extra_json_schema={"maxItems": MAX_INPUTS})]
    model: str = ""
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Tokens | None = None
    truncate: bool = False


class EmbeddingItem(Struct, frozen=True, kw_only=True):
    """One text's vector, as numbers or as base64 of little-endian float32."""

    embedding: list[float] | str
    index: int
    object: str = "embedding"


class EmbeddingAnswer(Struct, frozen=True, kw_only=True):
    """The vectors, in the order of the texts."""

    data: tuple[EmbeddingItem, ...]
    model: str
    usage: TokenCount
    object: str = "list"


class ModelItem(Struct, frozen=True, kw_only=True):
    """A model that can be asked for; `kind`, `context` and `tools` (it calls them reliably) are ours."""

    id: str
    kind: Literal["agent", "chat", "embedding"]
    context: int | None = None
    tools: bool = False
    created: int = 0
    owned_by: str = "ocg"
    object: str = "model"


class ModelList(Struct, frozen=True, kw_only=True):
    """GET /v1/models."""

    data: tuple[ModelItem, ...]
    object: str = "list"
