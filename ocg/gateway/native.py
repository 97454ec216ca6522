"""The agent's own API, passed through: each body and each answer is read and written anew, so nothing else crosses."""

from collections.abc import AsyncGenerator, Iterator
from functools import partial
from typing import Annotated, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from ocg.errors import Code, OcgError
from ocg.gateway import caller
from ocg.gateway.stream import HEARTBEAT, with_heartbeats
from ocg.gateway.upstream import UPSTREAM_ERRORS, Agent
from ocg.lifecycle import answers
from ocg.lifecycle.endpoints import Endpoint, Parameter
from ocg.lifecycle.stream import EventStream
from ocg.protocol import sse, wire
from ocg.protocol.events import TurnEvent
from ocg.protocol.messages import (
    MAX_SEQ,
    Changed,
    Memory,
    MemoryList,
    MemoryRequest,
    Name,
    SessionList,
    Transcript,
    TurnLog,
    TurnRequest,
)

T = TypeVar("T")

_MAX_MEMORIES = 1000
_MAX_QUERY_CHARS = 4096  # percent-encoded they are 48 KiB at the most; a request's head has 64
_CHANGED = Changed(count=1)
_ONE = (Code.INVALID_REQUEST, Code.NOT_FOUND, *UPSTREAM_ERRORS)
_QUERY = Parameter("q", Annotated[str, msgspec.Meta(max_length=_MAX_QUERY_CHARS)], "what to look for")
_LIMIT = Parameter(
    "limit",
    Annotated[int, msgspec.Meta(ge=1, le=_MAX_MEMORIES, extra_json_schema={"default": 20})],
    "how many at the most",
)
_SEQ = Annotated[int, msgspec.Meta(ge=0, le=MAX_SEQ)]
_AFTER = Parameter("after", _SEQ, "the number of the last event that was seen")
_LAST_EVENT_ID = Parameter("Last-Event-ID", _SEQ, "the same, as browsers send it", place="header")


class NativeRoutes:
    """Sessions, memories and turns."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    def endpoints(self) -> tuple[Endpoint, ...]:
        """List them."""
        return (*self._turns(), *self._sessions(), *self._memories())

    def _turns(self) -> Iterator[Endpoint]:
        turn = partial(Endpoint, named=Name, scope="chat", tag="Turns")
        yield turn(
            "POST", "/v1/turns", "Start a turn, or join it, and stream its events", self.turn, None,
            takes=TurnRequest, streams=TurnEvent, errors=(Code.CONFLICT, *UPSTREAM_ERRORS),
        )  # fmt: skip
        yield turn("GET", "/v1/turns/{id}", "Read all that is kept of a turn", self.log, TurnLog, errors=_ONE)
        yield turn(
            "GET", "/v1/turns/{id}/events", "Stream a turn's events behind the last one that was seen", self.follow,
            None, streams=TurnEvent, parameters=(_AFTER, _LAST_EVENT_ID), errors=_ONE,
        )  # fmt: skip
        yield turn("POST", "/v1/turns/{id}/cancel", "End a turn", self.cancel, Changed, errors=_ONE, is_free=True)

    def _sessions(self) -> Iterator[Endpoint]:
        one = partial(Endpoint, path="/v1/sessions/{id}", named=Name, errors=_ONE, tag="Sessions")
        yield Endpoint(
            "GET", "/v1/sessions", "List the conversations", self.sessions, SessionList,
            errors=UPSTREAM_ERRORS, scope="read", tag="Sessions",
        )  # fmt: skip
        yield one(method="GET", summary="Read a conversation", handler=self.transcript, gives=Transcript, scope="read")
        yield one(
            method="DELETE", summary="Delete a conversation for good", handler=self.delete_session, gives=Changed,
            scope="admin",
        )  # fmt: skip

    def _memories(self) -> Iterator[Endpoint]:
        memory = partial(Endpoint, errors=UPSTREAM_ERRORS, tag="Memories")
        yield memory(
            "GET", "/v1/memories", "Find memories, or list the newest", self.memories, MemoryList,
            parameters=(_QUERY, _LIMIT), scope="read",
        )  # fmt: skip
        yield memory("POST", "/v1/memories", "Keep a memory", self.remember, Memory, takes=MemoryRequest, scope="admin")
        yield Endpoint(
            "DELETE", "/v1/memories/{id}", "Delete a memory for good", self.forget, Changed,
            named=Name, errors=_ONE, scope="admin", tag="Memories",
        )  # fmt: skip

    async def sessions(self, _: Request) -> Response:
        """List the conversations."""
        return answers.answer(await self._agent.sessions())

    async def transcript(self, request: Request) -> Response:
        """Read a conversation."""
        return answers.answer(await self._agent.transcript(_id_of(request)))

    async def delete_session(self, request: Request) -> Response:
        """Delete a conversation for good."""
        await self._agent.delete_session(_id_of(request))
        return answers.answer(_CHANGED)

    async def memories(self, request: Request) -> Response:
        """Find memories, or list the newest."""
        query = request.query_params.get("q", "")
        if len(query) > _MAX_QUERY_CHARS:
            raise OcgError(Code.INVALID_REQUEST, f"q: longer than {_MAX_QUERY_CHARS} characters", "", param="q")
        return answers.answer(
            await self._agent.memories(
                query, limit=answers.number(request, "limit", default=20, least=1, most=_MAX_MEMORIES)
            )
        )

    async def remember(self, request: Request) -> Response:
        """Keep a memory."""
        asked = await answers.read(request, MemoryRequest, limit_bytes=1 << 20)
        return answers.answer(await self._agent.remember(asked))

    async def forget(self, request: Request) -> Response:
        """Delete a memory for good."""
        await self._agent.forget(_id_of(request))
        return answers.answer(_CHANGED)

    async def turn(self, request: Request) -> Response:
        """Start a turn, or join it, and stream its events. It goes on when the client leaves."""
        asked = await answers.read(request, TurnRequest)
        return await _stream(self._agent.turn(caller.who(request).turn(asked)))

    async def follow(self, request: Request) -> Response:
        """Stream a turn's events behind the last one that was seen: `after`, or Last-Event-ID as browsers send it."""
        default = request.headers.get("last-event-id", "0")
        if not (default.isdecimal() and len(default) <= len(str(MAX_SEQ))):
            raise OcgError(Code.INVALID_REQUEST, "Last-Event-ID: expected a number", "send an id as it was received")
        after = answers.number(request, "after", default=int(default), most=MAX_SEQ)
        return await _stream(self._agent.follow(_id_of(request), after))

    async def log(self, request: Request) -> Response:
        """Read all that is kept of a turn."""
        return answers.answer(await self._agent.log(_id_of(request)))

    async def cancel(self, request: Request) -> Response:
        """End a turn."""
        await self._agent.cancel(_id_of(request))
        return answers.answer(_CHANGED)


async def _stream(turn: AsyncGenerator[TurnEvent, None]) -> Response:
    events = with_heartbeats(turn)
    try:
        # Until the agent has answered, an error is an HTTP status.
        first = await anext(events)
    except BaseException:
        await events.aclose()
        raise
    return EventStream(_frames(first, events))


async def _frames(
    first: TurnEvent | None, events: AsyncGenerator[TurnEvent | None, None]
) -> AsyncGenerator[bytes, None]:
    """Write events as the agent does; where the agent goes away, one event named `error` is the last."""
    try:
        yield _frame(first)
        async for event in events:
            yield _frame(event)
    except OcgError as error:
        yield b"event: error\n" + sse.frame(wire.error_body(error))
    finally:
        await events.aclose()


def _frame(event: TurnEvent | None) -> bytes:
    return HEARTBEAT if event is None else sse.frame(wire.encode(event), event_id=event.seq)


def _id_of(request: Request) -> str:
    """Return the id in the path. Raises INVALID_REQUEST when it is none, before it becomes part of another path."""
    return _checked(request.path_params["id"], Name, "id")


def _checked(value: str, kind: type[T], name: str) -> T:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise OcgError(Code.INVALID_REQUEST, f"{name}: {error}", "see the API's description", param=name) from None
