"""The routes by which a provider is asked directly, past turns, tools and memory."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ocg.agent import translation
from ocg.agent.metrics import Metrics
from ocg.agent.providers import Directory, anthropic
from ocg.agent.providers.passthrough import Passthrough, own_name, renamed
from ocg.agent.providers.places import Place
from ocg.agent.providers.transport import bearer
from ocg.config.presets import Dialect
from ocg.errors import Code, OcgError
from ocg.lifecycle import answers
from ocg.lifecycle.relay import Opened, Relay
from ocg.protocol.openai import ChatRequest

# What a client of Anthropic's API may choose of it.
_CHOSEN = ("anthropic-version", "anthropic-beta")


class RawRoutes:
    """Passes requests on, with the key of the provider that the path names."""

    def __init__(self, directory: Directory, passthrough: Passthrough, metrics: Metrics) -> None:
        self._directory = directory
        self._passthrough = passthrough
        self._metrics = metrics

    def routes(self) -> list[Route]:
        """Return them."""
        return [
            Route("/v1/providers/{name}/chat/completions", self.chat, methods=["POST"]),
            Route("/v1/providers/{name}/embeddings", self.embeddings, methods=["POST"]),
            Route("/v1/providers/{name}/messages", self.messages, methods=["POST"]),
        ]

    async def chat(self, request: Request) -> Response:
        """OpenAI's chat completions, translated for who speaks Anthropic's."""
        name = request.path_params["name"]
        if self._directory.place(name).dialect is not Dialect.ANTHROPIC:
            return await self._passed(request, Dialect.OPENAI, "/chat/completions")
        chat = await answers.read(request, ChatRequest)
        provider = self._directory.provider_of(name, own_name(chat.model, name))
        return await translation.answered(request, provider, chat)

    async def embeddings(self, request: Request) -> Response:
        """OpenAI's embeddings."""
        return await self._passed(request, Dialect.OPENAI, "/embeddings")

    async def messages(self, request: Request) -> Response:
        """Anthropic's messages."""
        return await self._passed(request, Dialect.ANTHROPIC, anthropic.PATH)

    async def _passed(self, request: Request, dialect: Dialect, path: str) -> Response:
        name = request.path_params["name"]
        place = self._directory.place(name)
        if place.dialect is not dialect:
            why = f"{place.title} does not offer {path.removeprefix('/v1')}"
            raise OcgError(Code.INVALID_REQUEST, why, "use another provider", param="model")
        body = renamed(await answers.read_bytes(request), name)
        opening = self._passthrough.open(place, place.base_url + path, body, _headers(place, request.headers))
        return Relay(self._measured(name, opening))

    @asynccontextmanager
    async def _measured(self, name: str, opening: AbstractAsyncContextManager[Opened]) -> AsyncIterator[Opened]:
        """Measure an answer to its end; nobody reads what is in it, so its tokens are not counted."""
        with self._metrics.model_call(name) as measured:
            async with opening as opened:
                if opened.status != 200:  # noqa: PLR2004 - HTTP's
                    measured.fail(Code.PROVIDER)
                yield opened


def _headers(place: Place, asked: Mapping[str, str]) -> dict[str, str]:
    key = place.blamed.secret
    if place.dialect is Dialect.OPENAI:
        return bearer(key)
    return anthropic.head(key) | {name: asked[name] for name in _CHOSEN if name in asked}
