"""The HTTP of ocg-agent: pure composition, everything passed in. Who may speak is the socket's mode."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from ocg import __version__
from ocg.agent.memory import Memories
from ocg.agent.outbox import Outbox
from ocg.agent.providers.base import Provider
from ocg.agent.store import Store
from ocg.agent.turns import Turns
from ocg.errors import Code, OcgError
from ocg.lifecycle import answers
from ocg.protocol import sse, wire
from ocg.protocol.events import TurnEvent
from ocg.protocol.messages import (
    Changed,
    Health,
    MemoryIds,
    MemoryImport,
    MemoryList,
    MemoryRequest,
    TurnRequest,
)

_SILENCE_S = 15.0
_MAX_LISTED = 1000
_MAX_QUERY_CHARS = 8192
_MAX_DIGITS = 18
_MAX_MEMORY_BYTES = 128 << 10


@dataclass(frozen=True, slots=True)
class _Endpoints:
    store: Store
    turns: Turns
    memories: Memories
    outbox: Outbox
    provider: Provider

    async def health(self, _: Request) -> Response:
        details: dict[str, str | int | None] = {
            "provider": self.provider.name,
            "model": self.provider.model_name or None,
            "sessions": await self.store.session_count(),
            "vectors_pending": await self.outbox.pending(),
        }
        return answers.answer(Health(service="ocg-agent", version=__version__, details=details))

    async def turn(self, request: Request) -> Response:
        events = await self.turns.submit(await answers.read(request, TurnRequest))
        return StreamingResponse(_frames(events), media_type=sse.CONTENT_TYPE, headers={"Cache-Control": "no-store"})

    async def cancel(self, request: Request) -> Response:
        await self.turns.cancel(request.path_params["turn_id"])
        return answers.answer(Changed(count=1))

    async def sessions(self, _: Request) -> Response:
        return answers.answer(await self.store.sessions())

    async def transcript(self, request: Request) -> Response:
        return answers.answer(await self.store.transcript(request.path_params["session_id"]))

    async def delete_session(self, request: Request) -> Response:
        await self.turns.delete_session(request.path_params["session_id"])
        return answers.answer(Changed(count=1))

    async def list_memories(self, request: Request) -> Response:
        query = request.query_params.get("q", "").strip()
        if len(query) > _MAX_QUERY_CHARS:
            raise OcgError(Code.TOO_LARGE, f"the query is longer than {_MAX_QUERY_CHARS} characters", "ask for less")
        limit = _limit(request.query_params.get("limit", "20"))
        found = await (self.memories.search(query, limit) if query else self.memories.newest(limit))
        return answers.answer(MemoryList(memories=found))

    async def remember(self, request: Request) -> Response:
        asked = await answers.read(request, MemoryRequest, limit_bytes=_MAX_MEMORY_BYTES)
        return answers.answer(await self.memories.store(asked))

    async def proposed_memories(self, _: Request) -> Response:
        return answers.answer(MemoryList(memories=await self.memories.proposed()))

    async def accept_memories(self, request: Request) -> Response:
        asked = await answers.read(request, MemoryIds)
        return answers.answer(Changed(count=await self.memories.accept(asked.ids)))

    async def export_memories(self, request: Request) -> Response:
        after = request.query_params.get("after", "0")
        if not after.isdecimal() or len(after) > _MAX_DIGITS:
            raise OcgError(Code.INVALID_REQUEST, f"after={after[:20]!r} does not fit", "give the last page's `next`")
        return answers.answer(await self.memories.export(int(after)))

    async def import_memories(self, request: Request) -> Response:
        asked = await answers.read(request, MemoryImport)
        return answers.answer(await self.memories.take_in(asked.memories))

    async def forget(self, request: Request) -> Response:
        await self.memories.forget(request.path_params["memory_id"])
        return answers.answer(Changed(count=1))


def create_app(*, store: Store, turns: Turns, memories: Memories, outbox: Outbox, provider: Provider) -> Starlette:
    """Build the application."""
    ends = _Endpoints(store, turns, memories, outbox, provider)
    return answers.create_app(
        [
            Route("/health", ends.health),
            Route("/v1/turns", ends.turn, methods=["POST"]),
            Route("/v1/turns/{turn_id}/cancel", ends.cancel, methods=["POST"]),
            Route("/v1/sessions", ends.sessions),
            Route("/v1/sessions/{session_id}", ends.transcript),
            Route("/v1/sessions/{session_id}", ends.delete_session, methods=["DELETE"]),
            Route("/v1/memories", ends.list_memories),
            Route("/v1/memories", ends.remember, methods=["POST"]),
            Route("/v1/memories/proposed", ends.proposed_memories),
            Route("/v1/memories/accept", ends.accept_memories, methods=["POST"]),
            Route("/v1/memories/export", ends.export_memories),
            Route("/v1/memories/import", ends.import_memories, methods=["POST"]),
            Route("/v1/memories/{memory_id}", ends.forget, methods=["DELETE"]),
        ]
    )


def _limit(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= _MAX_LISTED:
        raise OcgError(
            Code.INVALID_REQUEST, f"limit={text[:20]!r} does not fit", f"give a number from 1 to {_MAX_LISTED}"
        )
    return int(text)


async def _frames(events: AsyncGenerator[TurnEvent, None]) -> AsyncGenerator[bytes, None]:
    """Write events as they come, and a comment now and then while none does, so that nobody takes us for dead."""
    async with aclosing(events):
        while True:
            coming = asyncio.ensure_future(_next(events))
            try:
                while not (await asyncio.wait({coming}, timeout=_SILENCE_S))[0]:
                    yield b": thinking\n\n"
            finally:
                coming.cancel()
                await asyncio.wait({coming})
            event = coming.result()
            if event is None:
                return
            yield sse.frame(wire.encode(event), event_id=event.seq)


async def _next(events: AsyncGenerator[TurnEvent, None]) -> TurnEvent | None:
    """Return what comes next, or None at the end: a task cannot raise StopAsyncIteration."""
    return await anext(events, None)
