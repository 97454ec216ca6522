"""What a client of the Messages API may ask (platform.claude.com/docs/en/api/messages); the rest it says is ignored."""

from typing import Annotated, Any, Literal

import msgspec

from ocg.protocol.openai import Tokens
from ocg.protocol.replies import MAX_STOPS, MAX_TOOLS, ToolName
from ocg.protocol.struct import Struct


class TextBlock(Struct, frozen=True, kw_only=True, tag_field="type", tag="text"):
    """Text."""

    text: str


class Base64Source(Struct, frozen=True, kw_only=True, tag_field="type", tag="base64"):
    """A picture itself."""

    media_type: str
    data: str


class UrlSource(Struct, frozen=True, kw_only=True, tag_field="type", tag="url"):
    """Where a picture is; only some providers fetch it."""

    url: str


class ImageBlock(Struct, frozen=True, kw_only=True, tag_field="type", tag="image"):
    """A picture."""

    source: Base64Source | UrlSource


class TextSource(Struct, frozen=True, kw_only=True):
    """A document that is text."""

    type: Literal["text"]
    data: str


class DocumentBlock(Struct, frozen=True, kw_only=True, tag_field="type", tag="document"):
    """A document; only Anthropic itself reads other kinds than text."""

    source: TextSource
    title: str | None = None


class ToolUseBlock(Struct, frozen=True, kw_only=True, tag_field="type", tag="tool_use"):
    """The model called a tool of the client's."""

    id: str
    name: ToolName
    input: dict[str, Any]


class ToolResultBlock(Struct, frozen=True, kw_only=True, tag_field="type", tag="tool_result"):
    """What the tool gave."""

    tool_use_id: str
    content: str | tuple[TextBlock | ImageBlock | DocumentBlock, ...] = ""
    is_error: bool = False

    @property
    def blocks(self) -> "tuple[Block, ...]":
        """The content, whatever form it came in."""
        return (TextBlock(text=self.content),) if isinstance(self.content, str) else self.content


class ThinkingBlock(Struct, frozen=True, kw_only=True, tag_field="type", tag="thinking"):
    """What the model thought; the signature is Anthropic's own, without which nobody can use it again."""

    thinking: str = ""
    signature: str = ""


class RedactedThinkingBlock(Struct, frozen=True, kw_only=True, tag_field="type", tag="redacted_thinking"):
    """The same, which nobody else can read."""


Block = TextBlock | ImageBlock | DocumentBlock | ToolUseBlock | ToolResultBlock | ThinkingBlock | RedactedThinkingBlock


class SystemText(Struct, frozen=True, kw_only=True):
    """Text of the system's prompt."""

    type: Literal["text"]
    text: str


class InputMessage(Struct, frozen=True, kw_only=True):
    """A message of a conversation that the client keeps."""

    role: Literal["user", "assistant", "system"]
    content: str | tuple[Block, ...]

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The content, whatever form it came in."""
        return (TextBlock(text=self.content),) if isinstance(self.content, str) else self.content


class InputTool(Struct, frozen=True, kw_only=True):
    """A tool that the client runs; those that Anthropic runs have another type and no schema."""

    name: ToolName
    input_schema: dict[str, Any]
    description: str = ""
    type: Literal["custom"] | None = None


class InputToolChoice(Struct, frozen=True, kw_only=True):
    """Which tools must be called, and whether more than one may be."""

    type: Literal["auto", "any", "tool", "none"]
    name: ToolName | None = None
    disable_parallel_tool_use: bool = False


class Thinking(Struct, frozen=True, kw_only=True):
    """Whether thoughts are wanted."""

    type: str

    @property
    def is_on(self) -> bool:
        """Whether they are."""
        return self.type != "disabled"


class Metadata(Struct, frozen=True, kw_only=True):
    """Who asks."""

    user_id: str | None = None


class OutputFormat(Struct, frozen=True, kw_only=True):
    """What form the answer must have."""

    type: Literal["json_schema"]
    schema: dict[str, Any]


class OutputConfig(Struct, frozen=True, kw_only=True):
    """How the answer is made."""

    format: OutputFormat | None = None


class CountRequest(Struct, frozen=True, kw_only=True):
    """POST /v1/messages/count_tokens."""

    model: str
    messages: Annotated[tuple[InputMessage, ...], msgspec.Meta(min_length=1, max_length=4096)]
    system: str | tuple[SystemText, ...] = ""
    tools: Annotated[tuple[InputTool, ...], msgspec.Meta(max_length=MAX_TOOLS)] = ()


class MessagesRequest(CountRequest, frozen=True, kw_only=True):
    """POST /v1/messages."""

    max_tokens: Tokens
    stream: bool = False
    temperature: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    top_p: Annotated[float, msgspec.Meta(gt=0, le=1)] | None = None
    stop_sequences: Annotated[tuple[str, ...], msgspec.Meta(max_length=MAX_STOPS)] | None = None
    tool_choice: InputToolChoice | None = None
    thinking: Thinking | None = None
    metadata: Metadata | None = None
    output_config: OutputConfig | None = None

    @property
    def wants_thoughts(self) -> bool:
        """Whether the answer shows what the model thinks."""
        return self.thinking is not None and self.thinking.is_on
