"""What is passed through as it is: the request's bytes to the service that answers, and its answer's back."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from ocg.gateway.chats.upstream import SILENCE_S
from ocg.gateway.upstream import Agent, Embedding
from ocg.lifecycle.relay import Opened, Relay
from ocg.protocol.client import Raw

# The agent is as patient with a provider, and says more of it.
PATIENCE_S = SILENCE_S + 15.0
_NO_HEADERS: Mapping[str, str] = {}


def passed(service: Agent | Embedding, path: str, body: bytes, headers: Mapping[str, str] = _NO_HEADERS) -> Relay:
    """Ask a service and answer what it answers, be that an error, for as long as the client waits for it."""
    return Relay(_opened(service, path, body, headers))


@asynccontextmanager
async def _opened(
    service: Agent | Embedding, path: str, body: bytes, headers: Mapping[str, str]
) -> AsyncIterator[Opened]:
    async with service.send("POST", path, data=body, silence_s=PATIENCE_S, raw=Raw(headers)) as response:
        yield Opened.of(response)
