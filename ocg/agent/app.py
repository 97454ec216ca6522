"""The HTTP of ocg-agent: pure composition, everything passed in. Who may speak is the socket's mode."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ocg.agent.approvals.routes import ApprovalRoutes
from ocg.agent.channels import ChannelRoutes
from ocg.agent.mcp.routes import McpRoutes
from ocg.agent.parts import Parts
from ocg.agent.raw import RawRoutes
from ocg.agent.response_routes import ResponseRoutes
from ocg.agent.responses import Responses
from ocg.agent.schedules.routes import ScheduleRoutes
from ocg.agent.skills.routes import SkillRoutes
from ocg.agent.tools import Toolbox
from ocg.agent.turns import Turns
from ocg.errors import Code, OcgError
from ocg.lifecycle import answers, vitals
from ocg.lifecycle.stream import EventStream
from ocg.protocol import sse, wire
from ocg.protocol.events import TurnEvent
from ocg.protocol.messages import (
    MAX_SEQ,
    Changed,
    MemoryIds,
    MemoryImport,
    MemoryList,
    MemoryRequest,
    ProviderWish,
    SessionTitle,
    TurnRequest,
)
from ocg.telemetry.metrics import CONTENT_TYPE

_SILENCE_S = 15.0
_MAX_LISTED = 1000
_MAX_QUERY_CHARS = 4096  # percent-encoded they are 48 KiB at the most; a request's head has 64
_MAX_MODEL_CHARS = 256
_MAX_DIGITS = 18
_MAX_MEMORY_BYTES = 128 << 10


@dataclass(frozen=True, slots=True)
class _Endpoints:
    parts: Parts
    turns: Turns
    toolbox: Toolbox

    async def health(self, _: Request) -> Response:
        running, waiting = self.turns.depths
        details: dict[str, str | int | None] = {
            "provider": self.parts.directory.provider.name,
            "model": self.parts.directory.provider.model_name or None,
            "sessions": await self.parts.store.session_count(),
            "turns_running": running,
            "turns_waiting": waiting,
            "vectors_pending": await self.parts.outbox.pending(),
            "tools": self.parts.confinement.name,
        }
        return answers.answer(await vitals.health("ocg-agent", details))

    async def tools(self, _: Request) -> Response:
        return answers.answer(self.toolbox.listed())

    async def list_hooks(self, _: Request) -> Response:
        return answers.answer(await self.parts.hooks.list())

    async def show_metrics(self, _: Request) -> Response:
        running, waiting = self.turns.depths
        self.parts.metrics.look(
            running=running,
            waiting=waiting,
            deliveries=await self.parts.deliveries.waiting(),
            outbox=await self.parts.outbox.pending(),
            links=self.parts.directory.links,
        )
        return Response(self.parts.metrics.meter.text(), media_type=CONTENT_TYPE)

    async def providers(self, _: Request) -> Response:
        return answers.answer(self.parts.directory.list())

    async def test_provider(self, request: Request) -> Response:
        model = request.query_params.get("model", "")[:_MAX_MODEL_CHARS]
        return answers.answer(await self.parts.directory.test(request.path_params["name"], model))

    async def use_providers(self, request: Request) -> Response:
        await self.parts.directory.use((await answers.read(request, ProviderWish)).providers)
        return answers.answer(Changed(count=1))

    async def forget_wish(self, _: Request) -> Response:
        await self.parts.directory.use("")
        return answers.answer(Changed(count=1))

    async def turn(self, request: Request) -> Response:
        return _stream(await self.turns.submit(await answers.read(request, TurnRequest)))

    async def follow(self, request: Request) -> Response:
        after = answers.number(request, "after", default=0, most=MAX_SEQ)
        return _stream(await self.turns.follow(request.path_params["turn_id"], after))

    async def log(self, request: Request) -> Response:
        return answers.answer(await self.parts.store.log(request.path_params["turn_id"]))

    async def cancel(self, request: Request) -> Response:
        await self.turns.cancel(request.path_params["turn_id"])
        return answers.answer(Changed(count=1))

    async def sessions(self, _: Request) -> Response:
        return answers.answer(await self.parts.store.sessions())

    async def transcript(self, request: Request) -> Response:
        return answers.answer(await self.parts.store.transcript(request.path_params["session_id"]))

    async def rename_session(self, request: Request) -> Response:
        asked = await answers.read(request, SessionTitle)
        return answers.answer(await self.parts.store.rename_session(request.path_params["session_id"], asked.title))

    async def delete_session(self, request: Request) -> Response:
        await self.turns.delete_session(request.path_params["session_id"])
        return answers.answer(Changed(count=1))

    async def list_memories(self, request: Request) -> Response:
        query = request.query_params.get("q", "").strip()
        if len(query) > _MAX_QUERY_CHARS:
            raise OcgError(Code.TOO_LARGE, f"the query is longer than {_MAX_QUERY_CHARS} characters", "ask for less")
        limit = answers.number(request, "limit", default=20, least=1, most=_MAX_LISTED)
        found = await (self.parts.memories.search(query, limit) if query else self.parts.memories.newest(limit))
        return answers.answer(MemoryList(memories=found))

    async def remember(self, request: Request) -> Response:
        asked = await answers.read(request, MemoryRequest, limit_bytes=_MAX_MEMORY_BYTES)
        return answers.answer(await self.parts.memories.store(asked))

    async def proposed_memories(self, _: Request) -> Response:
        return answers.answer(MemoryList(memories=await self.parts.memories.proposed()))

    async def accept_memories(self, request: Request) -> Response:
        asked = await answers.read(request, MemoryIds)
        return answers.answer(Changed(count=await self.parts.memories.accept(asked.ids)))

    async def export_memories(self, request: Request) -> Response:
        after = request.query_params.get("after", "0")
        if not after.isdecimal() or len(after) > _MAX_DIGITS:
            raise OcgError(Code.INVALID_REQUEST, f"after={after[:20]!r} does not fit", "give the last page's `next`")
        return answers.answer(await self.parts.memories.export(int(after)))

    async def import_memories(self, request: Request) -> Response:
        asked = await answers.read(request, MemoryImport)
        return answers.answer(await self.parts.memories.take_in(asked.memories))

    async def forget(self, request: Request) -> Response:
        await self.parts.memories.forget(request.path_params["memory_id"])
        return answers.answer(Changed(count=1))


def create_app(parts: Parts, turns: Turns, toolbox: Toolbox) -> Starlette:
    """Build the application."""
    ends = _Endpoints(parts, turns, toolbox)
    return answers.create_app(
        [
            Route("/health", ends.health),
            Route("/metrics", ends.show_metrics),
            Route("/v1/providers", ends.providers),
            Route("/v1/tools", ends.tools),
            Route("/v1/hooks", ends.list_hooks),
            Route("/v1/providers/wish", ends.use_providers, methods=["PUT"]),
            Route("/v1/providers/wish", ends.forget_wish, methods=["DELETE"]),
            Route("/v1/providers/{name}/test", ends.test_provider, methods=["POST"]),
            *RawRoutes(parts.directory, parts.passthrough, parts.metrics).routes(),
            Route("/v1/turns", ends.turn, methods=["POST"]),
            Route("/v1/turns/{turn_id}", ends.log),
            Route("/v1/turns/{turn_id}/events", ends.follow),
            Route("/v1/turns/{turn_id}/cancel", ends.cancel, methods=["POST"]),
            Route("/v1/sessions", ends.sessions),
            Route("/v1/sessions/{session_id}", ends.transcript),
            Route("/v1/sessions/{session_id}", ends.rename_session, methods=["PATCH"]),
            Route("/v1/sessions/{session_id}", ends.delete_session, methods=["DELETE"]),
            Route("/v1/memories", ends.list_memories),
            Route("/v1/memories", ends.remember, methods=["POST"]),
            Route("/v1/memories/proposed", ends.proposed_memories),
            Route("/v1/memories/accept", ends.accept_memories, methods=["POST"]),
            Route("/v1/memories/export", ends.export_memories),
            Route("/v1/memories/import", ends.import_memories, methods=["POST"]),
            Route("/v1/memories/{memory_id}", ends.forget, methods=["DELETE"]),
            *ResponseRoutes(Responses(parts.database)).routes(),
            *ApprovalRoutes(parts.gate).routes(),
            *ScheduleRoutes(parts.schedules).routes(),
            *SkillRoutes(parts.skills).routes(),
            *McpRoutes(parts.servers).routes(),
            *ChannelRoutes(parts.deliveries).routes(),
        ]
    )


def _stream(events: AsyncGenerator[TurnEvent, None]) -> Response:
    return EventStream(_frames(events))


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
