"""The HTTP of ocg-agent: pure composition, everything passed in. Who may speak is the socket's mode."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from ocg import __version__
from ocg.agent.memory import Memories
from ocg.agent.providers.base import Provider
from ocg.agent.store import Store
from ocg.agent.turns import Turns
from ocg.errors import Code, OcgError
from ocg.lifecycle import answers
from ocg.protocol import sse, wire
from ocg.protocol.events import TurnEvent
from ocg.protocol.messages import Changed, Health, MemoryList, MemoryRequest, TurnRequest

_SILENCE_S = 15.0
_MAX_LISTED = 1000
_MAX_QUERY_CHARS = 4096


@dataclass(frozen=True, slots=True)
class _Endpoints:
    store: Store
    turns: Turns
    memories: Memories
    provider: Provider

    async def health(self, _: Request) -> Response:
        details: dict[str, str | int | None] = {
            "provider": self.provider.name,
            "model": self.provider.model,
            "sessions": await self.store.session_count(),
            "vectors_pending": await self.memories.pending(),
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
        session_id = request.path_params["session_id"]
        await self.turns.cancel_session(session_id)
        await self.store.delete_session(session_id)
        return answers.answer(Changed(count=1))

    async def list_memories(self, request: Request) -> Response:
        query = request.query_params.get("q", "").strip()
        if len(query) > _MAX_QUERY_CHARS:
            raise OcgError(Code.TOO_LARGE, f"the query is longer than {_MAX_QUERY_CHARS} characters", "ask for less")
        limit = _limit(request.query_params.get("limit", "20"))
        found = await (self.memories.search(query, limit) if query else self.memories.newest(limit))
        return answers.answer(MemoryList(memories=found))

    async def remember(self, request: Request) -> Response:
        return answers.answer(await self.memories.store(await answers.read(request, MemoryRequest)))

    async def forget(self, request: Request) -> Response:
        await self.memories.forget(request.path_params["memory_id"])
        return answers.answer(Changed(count=1))


def create_app(*, store: Store, turns: Turns, memories: Memories, provider: Provider) -> Starlette:
    """Build the application."""
    ends = _Endpoints(store, turns, memories, provider)
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
            Route("/v1/memories/{memory_id}", ends.forget, methods=["DELETE"]),
        ]
    )


def _limit(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= _MAX_LISTED:
        raise OcgError(
            Code.INVALID_REQUEST, f"limit={text[:20]!r} does not fit", f"give a number from 1 to {_MAX_LISTED}"
        )
    return int(text)


async def _frames(events: AsyncIterator[TurnEvent]) -> AsyncIterator[bytes]:
    """Write events as they come, and a comment now and then while none does, so that nobody takes us for dead."""
    pending: asyncio.Future[TurnEvent] | None = None
    try:
        while True:
            pending = pending or asyncio.ensure_future(anext(events))
            done, _ = await asyncio.wait({pending}, timeout=_SILENCE_S)
            if not done:
                yield b": thinking\n\n"
                continue
            try:
                event = pending.result()
            except StopAsyncIteration:
                return
            pending = None
            yield sse.frame(wire.encode(event), event_id=event.seq)
    finally:
        if pending is not None:
            pending.cancel()
