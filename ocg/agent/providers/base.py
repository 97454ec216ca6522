"""What a provider of replies is: whoever runs the model."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from ocg.protocol.messages import ToolUse, Usage


@dataclass(frozen=True, slots=True)
class PromptMessage:
    """A message as the model sees it."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str
    tool_calls: tuple[ToolUse, ...] = ()
    tool_call_id: str | None = None


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool as the model sees it; `parameters` is a JSON schema."""

    name: str
    description: str
    parameters: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole reply: text, tool calls, or both."""

    text: str
    tool_calls: tuple[ToolUse, ...] = ()
    usage: Usage = field(default_factory=Usage)


class Provider(Protocol):
    """Streams a model's replies."""

    name: str
    model: str
    takes_tools: bool

    async def context_tokens(self) -> int:
        """How many tokens prompt and answer may have together."""

    def reply(
        self, messages: Sequence[PromptMessage], tools: Sequence[ToolSpec], *, max_tokens: int
    ) -> AsyncIterator[str | Reply]:
        """Give the reply's text as it comes and the whole Reply at the end.

        Raises PROVIDER with the provider's name, what it said and what to do; UNAVAILABLE, TIMEOUT, CONTEXT_LENGTH.
        """

    async def close(self) -> None:
        """Free what it holds."""
