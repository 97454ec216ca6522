"""Any OpenAI-compatible chat completions API, by OCG_BASE_URL, OCG_API_KEY and OCG_MODEL."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from urllib.parse import urlsplit

from ocg.agent.providers.base import Model, PromptMessage, Reply, ToolSpec
from ocg.agent.providers.completions import SILENCE_S, Completions, request_body
from ocg.agent.providers.refusal import Refusal, from_api
from ocg.errors import Code, OcgError
from ocg.protocol.address import Address

# Reasoning models of OpenAI's own refuse the older name, most others know no newer one.
_LIMITS = ("max_tokens", "max_completion_tokens")


class OpenAIProvider:
    """See Provider. It is called by its host, since a whole base URL may hold a password."""

    def __init__(
        self, base_url: str, api_key: str, *, model: str, context_tokens: int, silence_s: float = SILENCE_S
    ) -> None:
        self.name = _host_of(base_url)
        self._where = Address(base_url.rstrip("/"), api_key)
        self._model = Model(model, context_tokens)
        self._limit = _LIMITS[0]
        self._completions = Completions(
            self.name,
            lambda: self._where,
            self._explain,
            hint="check OCG_BASE_URL",
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
        """See Provider. Each of these APIs has another way to count, or none."""
        del texts
        return None

    async def close(self) -> None:
        """See Provider."""
        await self._completions.close()

    async def reply(
        self, messages: Sequence[PromptMessage], tools: Sequence[ToolSpec], *, max_tokens: int
    ) -> AsyncGenerator[str | Reply, None]:
        """See Provider."""
        body = request_body(self._model.name, messages, tools, max_tokens=max_tokens)
        for limit in (self._limit, _LIMITS[1]):
            body[limit] = max_tokens
            if limit != _LIMITS[0]:
                body.pop(_LIMITS[0], None)
            try:
                async with aclosing(self._completions.reply(body)) as pieces:
                    async for piece in pieces:
                        yield piece
            except OcgError as error:
                if limit == _LIMITS[1] or _LIMITS[1] not in error.message:
                    raise
                self._limit = _LIMITS[1]
            else:
                return

    def _explain(self, status: int, retry_after: str, body: bytes) -> Refusal:
        return from_api(self.name, status, retry_after, body, secret=self._where.token)


def _host_of(base_url: str) -> str:
    """Return host and port of a base URL. Raises CONFIG_INVALID when it has none."""
    try:
        parts = urlsplit(base_url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or parts.scheme not in {"http", "https"}:
        raise OcgError(
            Code.CONFIG_INVALID, "OCG_BASE_URL is no http:// or https:// URL", "write it as https://api.example.com/v1"
        )
    return f"{host}:{port}" if port else host
