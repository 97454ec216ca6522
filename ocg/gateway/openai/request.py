"""What is read of a chat completion before it is known who answers, and what the agent refuses of it.

What would change what the answer is, and cannot be had, is refused: to ignore it would be to answer wrongly.
"""

from typing import Any

import msgspec

from ocg.gateway.chats.turn import AGENT_MODEL
from ocg.protocol.asking import wrong
from ocg.protocol.openai import AnswerCount, ChatRequest


class ModelNamed(msgspec.Struct, frozen=True, kw_only=True):
    """What is read of any request that names a model, whoever answers it."""

    model: str = ""


class ChatNamed(ModelNamed, frozen=True, kw_only=True):
    """What is read of a chat completion, whoever answers it."""

    n: AnswerCount | None = None


class AgentChat(ChatRequest, frozen=True, kw_only=True):
    """A chat completion for the agent, with what it refuses."""

    functions: list[Any] | None = None
    modalities: list[str] | None = None

    def check(self) -> None:
        """Raise INVALID_REQUEST when something is asked for that the agent cannot give."""
        refused = {"functions": bool(self.functions), "modalities": self.modalities not in (None, [], ["text"])}
        for name, is_asked in refused.items():
            if is_asked:
                raise wrong(name, f"model {AGENT_MODEL!r} does not offer it", "leave it out")
