"""What a provider of replies is: whoever runs the model."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from ocg.protocol.messages import ToolUse, Usage
from ocg.protocol.replies import ReplyOptions
from ocg.protocol.thinking import Reasoning

PLAIN = ReplyOptions()


@dataclass(frozen=True, slots=True)
class Image:
    """A picture that a message carries; `media_type` is such as `image/png`."""

    media_type: str
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class PromptMessage:
    """A message as the model sees it; `opaque` is what the Reply it came from had."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str
    tool_calls: tuple[ToolUse, ...] = ()
    tool_call_id: str | None = None
    images: tuple[Image, ...] = ()
    opaque: str = ""


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool as the model sees it; `parameters` is a JSON schema."""

    name: str
    description: str
    parameters: dict[str, Any]


_LEAST_PART = 4


@dataclass(frozen=True, slots=True)
class Model:
    """What must be known of a model to write a prompt for it; a small one is told little and given no tools.

    `thinking_tokens` is what a request asks for beside the answer, so that the model can think first.
    """

    name: str
    context_tokens: int
    takes_tools: bool = True
    is_small: bool = False
    takes_images: bool = False
    thinking_tokens: int = 0

    def thinking_beside(self, answer_tokens: int) -> int:
        """How many tokens are kept for thinking beside an answer: a quarter of the context stays the prompt's."""
        free = self.context_tokens - answer_tokens - self.context_tokens // _LEAST_PART
        return min(self.thinking_tokens, max(free, 0))


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole reply: text, tool calls, or both.

    `opaque` is JSON text that the provider must be sent back unchanged with this reply while its tools are run. A reply
    that the limit of tokens ended `is_cut`.
    """

    text: str
    tool_calls: tuple[ToolUse, ...] = ()
    usage: Usage = field(default_factory=Usage)
    reasoning: str = ""
    opaque: str = ""
    is_cut: bool = False


Piece = str | Reasoning | Reply


class Provider(Protocol):
    """Streams a model's replies."""

    @property
    def name(self) -> str:
        """What it is called in logs and errors."""

    @property
    def model_name(self) -> str:
        """The model's name as far as it is known without asking."""

    async def model(self) -> Model:
        """Say which model it is. Raises as `reply` does."""

    def reply(
        self,
        messages: Sequence[PromptMessage],
        tools: Sequence[ToolSpec],
        *,
        max_tokens: int,
        options: ReplyOptions = PLAIN,
    ) -> AsyncGenerator[Piece, None]:
        """Give text and reasoning as they come and the whole Reply at the end.

        `tools` are all that the model is offered and `max_tokens` is what the answer may take, whatever `options` say.
        Raises PROVIDER with the provider's name, what it said and what to do; UNAVAILABLE, TIMEOUT, CONTEXT_LENGTH.
        """

    async def count(self, texts: Sequence[str]) -> list[int] | None:
        """Count the tokens of texts with the model's own tokenizer; None where there is none to ask."""

    async def close(self) -> None:
        """Free what it holds."""
