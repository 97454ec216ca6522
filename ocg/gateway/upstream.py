"""The services behind the gateway: the protocol's clients, patient with an agent that restarts, quick about health."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ocg.errors import Code
from ocg.gateway import probe
from ocg.lifecycle.worker import Worker
from ocg.protocol import messages, wire
from ocg.protocol.client import ConnectionLostError, Raw
from ocg.protocol.clients import AgentClient, EmbeddingClient
from ocg.protocol.events import TurnEvent
from ocg.protocol.pauses import Pauses
from ocg.telemetry import spans
from ocg.telemetry.spans import Kind, Tracer

if TYPE_CHECKING:
    import aiohttp

# How long a restart of the agent may take before its callers hear of it.
PATIENCE_S = 5.0
_LIST_S = 2.0
# What may come of a request to a service behind the gateway.
UPSTREAM_ERRORS = (Code.BUSY, Code.PROVIDER, Code.UNAVAILABLE, Code.TIMEOUT)


class Warmth:
    """aiohttp, imported in a thread: it takes 0.2 s, which neither the start nor the event loop has to spare."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._import: asyncio.Task[None] | None = None

    def begin(self) -> "asyncio.Task[None]":
        """Begin to import it, once."""
        if self._import is None:
            self._import = asyncio.create_task(self._worker.run(_import_aiohttp))
        return self._import

    async def wait(self) -> None:
        """Wait until it is there."""
        task = self.begin()
        if not task.done():
            await asyncio.shield(task)


def _import_aiohttp() -> None:
    import aiohttp  # noqa: F401, PLC0415 - slow to import


class Embedding(EmbeddingClient):
    """ocg-embedding, as the gateway calls it."""

    def __init__(self, folder: Path, warmth: Warmth, tracer: Tracer | None = None) -> None:
        super().__init__(folder)
        self._warmth = warmth
        self._tracer = tracer

    @asynccontextmanager
    async def send(
        self,
        method: str,
        path: str,
        *,
        data: bytes | None = None,
        silence_s: float | None = None,
        raw: Raw | None = None,
    ) -> "AsyncIterator[aiohttp.ClientResponse]":
        """Send a request once aiohttp is there."""
        await self._warmth.wait()
        with spans.span(self._tracer, f"{method} {self.service}", kind=Kind.CLIENT):
            async with super().send(method, path, data=data, silence_s=silence_s, raw=raw) as response:
                yield response

    async def health(self) -> messages.Health:
        """Ask how it is, without aiohttp."""
        return await probe.health_tcp(self._locate().url)


class Agent(AgentClient):
    """ocg-agent, as the gateway calls it: a restart of it is waited for."""

    def __init__(self, socket: Path, warmth: Warmth, tracer: Tracer | None = None) -> None:
        super().__init__(socket)
        self._warmth = warmth
        self._tracer = tracer

    @asynccontextmanager
    async def send(
        self,
        method: str,
        path: str,
        *,
        data: bytes | None = None,
        silence_s: float | None = None,
        raw: Raw | None = None,
    ) -> "AsyncIterator[aiohttp.ClientResponse]":
        """Send a request, again and again while nobody is there to hear it, for five seconds at the most."""
        await self._warmth.wait()
        pauses = Pauses(PATIENCE_S)
        async with AsyncExitStack() as stack:
            stack.enter_context(spans.span(self._tracer, f"{method} {self.service}", kind=Kind.CLIENT))
            while True:
                try:
                    response = await stack.enter_async_context(
                        super().send(method, path, data=data, silence_s=silence_s, raw=raw)
                    )
                    break
                except ConnectionLostError as error:
                    # What only reads, or writes the same again, does no harm when it is asked twice.
                    if (error.was_sent and method not in {"GET", "PUT"}) or not await pauses.next():
                        raise
            yield response

    async def turn(
        self, request: messages.TurnRequest, *, patience_s: float = PATIENCE_S
    ) -> AsyncGenerator[TurnEvent, None]:
        """See AgentClient; a restart is waited for."""
        async with aclosing(super().turn(request, patience_s=patience_s)) as events:
            async for event in events:
                yield event

    async def follow(
        self, turn_id: str, after: int = 0, *, patience_s: float = PATIENCE_S
    ) -> AsyncGenerator[TurnEvent, None]:
        """See AgentClient; a restart is waited for."""
        async with aclosing(super().follow(turn_id, after, patience_s=patience_s)) as events:
            async for event in events:
                yield event

    async def providers_at_once(self) -> messages.ProviderList:
        """See `providers`; nobody waits for an agent that is away, or slow. Raises TimeoutError."""
        async with asyncio.timeout(_LIST_S):
            await self._warmth.wait()
            async with super().send("GET", "/v1/providers") as response:
                return wire.decode(messages.ProviderList, await self.whole(response))

    async def health(self) -> messages.Health:
        """Ask how it is, without aiohttp and without patience."""
        self._locate()
        return await probe.health_unix(self._socket)
