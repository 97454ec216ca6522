"""What Anthropic itself answers, passed on as it is, so that its caches, thoughts and own tools work."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import Request

from ocg.config.presets import PRESETS, Dialect
from ocg.gateway.anthropic import errors
from ocg.gateway.chats.chats import Answerer, Kind
from ocg.gateway.openai.raw import PATIENCE_S
from ocg.gateway.upstream import Agent
from ocg.lifecycle.relay import Opened, Relay
from ocg.protocol import wire
from ocg.protocol.client import Raw

_SPEAKERS = frozenset(one.name for one in PRESETS if one.dialect is Dialect.ANTHROPIC)
_MAX_ERROR_BYTES = 65536
# What a client may choose of the API.
_CHOSEN = ("anthropic-version", "anthropic-beta")


def answerer_of(model: str) -> Answerer:
    """Read a model's name; Anthropic's clients have some of its own built in, without a provider."""
    return Answerer.of(f"anthropic/{model}" if model.startswith("claude-") else model)


def is_spoken_by(answerer: Answerer) -> bool:
    """Whether who answers speaks this API."""
    return answerer.kind is Kind.PROVIDER and answerer.provider in _SPEAKERS


def passed(agent: Agent, provider: str, request: Request, body: bytes) -> Relay:
    """Have the agent ask a provider, and answer what that answers for as long as the client waits for it."""
    headers = {name: request.headers[name] for name in _CHOSEN if name in request.headers}
    return Relay(_opened(agent, f"/v1/providers/{provider}/messages", body, headers), errors.frame)


@asynccontextmanager
async def _opened(agent: Agent, path: str, body: bytes, headers: dict[str, str]) -> AsyncIterator[Opened]:
    async with agent.send("POST", path, data=body, silence_s=PATIENCE_S, raw=Raw(headers)) as response:
        opened = Opened.of(response)
        if opened.status < 400:  # noqa: PLR2004 - HTTP's classes
            yield opened
            return
        # The agent tells all that fails in our own dialect.
        error = wire.read_error(opened.status, await response.content.read(_MAX_ERROR_BYTES))
        kept = {name: value for name, value in opened.headers.items() if name != "Content-Length"}
        yield Opened(opened.status, _once(errors.body(error, opened.status)), kept)


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body
