"""Any OpenAI-compatible chat completions API."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from urllib.parse import urlsplit

from ocg.agent.providers.assembly import Assembly
from ocg.agent.providers.base import PLAIN, Model, Piece, PromptMessage, ToolSpec
from ocg.agent.providers.completions import request_body
from ocg.agent.providers.quirks import Quirks
from ocg.agent.providers.refusal import Refusal, Settings, from_api
from ocg.agent.providers.servers import Asking
from ocg.agent.providers.transport import SILENCE_S, Target, Transport, bearer
from ocg.errors import Code, OcgError
from ocg.protocol.replies import ReplyOptions


class OpenAIProvider:
    """See Provider. `asking` is how a server says which model it has."""

    def __init__(
        self,
        name: str,
        base_url: str,
        settings: Settings,
        model: Model,
        *,
        asking: Asking | None = None,
        silence_s: float = SILENCE_S,
    ) -> None:
        self.name = name
        self._settings = settings
        self._model = model
        self._asking = asking
        self._quirks = Quirks()
        target = Target(f"{base_url.rstrip('/')}/chat/completions", bearer(settings.secret))
        self._transport = Transport(
            name,
            lambda: target,
            lambda: Assembly(name, settings.without_secret),
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
        if self._asking is not None:
            self._model = await self._asking.model()
        return self._model

    async def count(self, texts: Sequence[str]) -> list[int] | None:
        """See Provider. Each of these APIs has another way to count, or none."""
        del texts
        return None

    async def close(self) -> None:
        """See Provider."""
        await self._transport.close()
        if self._asking is not None:
            await self._asking.close()

    async def reply(
        self,
        messages: Sequence[PromptMessage],
        tools: Sequence[ToolSpec],
        *,
        max_tokens: int,
        options: ReplyOptions = PLAIN,
    ) -> AsyncGenerator[Piece, None]:
        """See Provider."""
        model = await self.model()
        limit_tokens = max_tokens + model.thinking_beside(max_tokens)
        body = request_body(model, messages, tools, max_tokens=limit_tokens, options=options, provider=self.name)
        async with aclosing(self._quirks.reply(self._transport, body)) as pieces:
            async for piece in pieces:
                yield piece

    def _explain(self, status: int, retry_after: str, body: bytes) -> Refusal:
        return from_api(self.name, status, retry_after, body, settings=self._settings)


def host_of(base_url: str, key: str = "") -> str:
    """Return host and port of OCG_BASE_URL: a whole one may hold a password. Raises CONFIG_INVALID when it has none."""
    try:
        parts = urlsplit(base_url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or parts.scheme not in {"http", "https"}:
        raise OcgError(
            Code.CONFIG_INVALID, "OCG_BASE_URL is no http:// or https:// URL", "write it as https://api.example.com/v1"
        )
    if key and parts.username is not None:
        why = "OCG_BASE_URL holds a name and password, and OCG_API_KEY is set: only one of them can be sent"
        raise OcgError(Code.CONFIG_INVALID, why, "leave out one of the two")
    return f"{host}:{port}" if port else host
