"""Anthropic's Messages API, and those that are compatible with it."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from ocg.agent.providers.base import PLAIN, Model, Piece, PromptMessage, ToolSpec
from ocg.agent.providers.blocks import Blocks
from ocg.agent.providers.messages import request_body
from ocg.agent.providers.quirks import Quirks
from ocg.agent.providers.refusal import Refusal, Settings, from_api
from ocg.agent.providers.transport import SILENCE_S, Target, Transport
from ocg.config import Thinking
from ocg.protocol.replies import ReplyOptions

PATH = "/v1/messages"
_VERSION = "2023-06-01"


def head(key: str) -> dict[str, str]:
    """Return the headers that the API wants beside the body's type."""
    return {"anthropic-version": _VERSION} | ({"x-api-key": key} if key else {})


class AnthropicProvider:
    """See Provider."""

    def __init__(
        self,
        name: str,
        base_url: str,
        settings: Settings,
        model: Model,
        *,
        thinking: Thinking,
        silence_s: float = SILENCE_S,
    ) -> None:
        self.name = name
        self._settings = settings
        self._model = model
        self._thinking = thinking
        self._quirks = Quirks()
        target = Target(f"{base_url.rstrip('/')}{PATH}", head(settings.secret))
        self._transport = Transport(
            name,
            lambda: target,
            lambda: Blocks(name, model.name, settings.without_secret),
            self._explain,
            hint=f"check {settings.base_url}",
            first_silence_s=silence_s,
            silence_s=silence_s,
        )

    @property
    def model_name(self) -> str:
        """See Provider."""
        return self._model.name

    async def model(self) -> Model:
        """See Provider."""
        return self._model

    async def count(self, texts: Sequence[str]) -> list[int] | None:
        """See Provider."""
        del texts
        return None

    async def close(self) -> None:
        """See Provider."""
        await self._transport.close()

    async def reply(
        self,
        messages: Sequence[PromptMessage],
        tools: Sequence[ToolSpec],
        *,
        max_tokens: int,
        options: ReplyOptions = PLAIN,
    ) -> AsyncGenerator[Piece, None]:
        """See Provider."""
        body = request_body(
            self._model, messages, tools, max_tokens=max_tokens, thinking=self._thinking, options=options
        )
        async with aclosing(self._quirks.reply(self._transport, body)) as pieces:
            async for piece in pieces:
                yield piece

    def _explain(self, status: int, retry_after: str, body: bytes) -> Refusal:
        return from_api(self.name, status, retry_after, body, settings=self._settings)
