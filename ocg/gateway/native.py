"""The agent's own API, passed through: each body and each answer is read and written anew, so nothing else crosses."""

from collections.abc import AsyncGenerator, Iterator
from functools import partial
from typing import Annotated

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from ocg.errors import Code, OcgError
from ocg.gateway import caller
from ocg.gateway.markdown import written
from ocg.gateway.names import id_of
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
    Name,
    Session,
    SessionList,
    SessionTitle,
    Transcript,
    TurnLog,
    TurnRequest,
)

_MARKDOWN = "text/markdown"
_CHANGED = Changed(count=1)
_ONE = (Code.NOT_FOUND, *UPSTREAM_ERRORS)
_SEQ = Annotated[int, msgspec.Meta(ge=0, le=MAX_SEQ)]
_AFTER = Parameter("after", _SEQ, "the number of the last event that was seen")
_LAST_EVENT_ID = Parameter("Last-Event-ID", _SEQ, "the same, as browsers send it", place="header")


class NativeRoutes:
    """Sessions and turns."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    def endpoints(self) -> tuple[Endpoint, ...]:
        """List them."""
        return (*self._turns(), *self._sessions())

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
        yield Endpoint(
            "GET", "/v1/sessions/{id}/markdown", "Read a conversation as a Markdown document", self.session_markdown,
            str, media=_MARKDOWN, named=Name, errors=_ONE, scope="read", tag="Sessions",
        )  # fmt: skip
        yield one(
            method="PATCH", summary="Give a conversation another title", handler=self.rename_session, gives=Session,
            takes=SessionTitle, scope="admin",
        )  # fmt: skip
        yield one(
            method="DELETE", summary="Delete a conversation for good", handler=self.delete_session, gives=Changed,
            scope="admin",
        )  # fmt: skip

    async def sessions(self, _: Request) -> Response:
        """List the conversations."""
        return answers.answer(await self._agent.sessions())

    async def transcript(self, request: Request) -> Response:
        """Read a conversation."""
        return answers.answer(await self._agent.transcript(id_of(request)))

    async def session_markdown(self, request: Request) -> Response:
        """Write a conversation out."""
        text = written(await self._agent.transcript(id_of(request)))
        return Response(text, media_type=f"{_MARKDOWN}; charset=utf-8")

    async def rename_session(self, request: Request) -> Response:
        """Give a conversation another title."""
        asked = await answers.read(request, SessionTitle, limit_bytes=4096)
        return answers.answer(await self._agent.rename_session(id_of(request), asked.title))

    async def delete_session(self, request: Request) -> Response:
        """Delete a conversation for good."""
        await self._agent.delete_session(id_of(request))
        return answers.answer(_CHANGED)

    async def turn(self, request: Request) -> Response:
        """Start a turn, or join it, and stream its events. It goes on when the client leaves."""
        asked = await answers.read(request, TurnRequest)
        return await _stream(self._agent.turn(caller.who(request).turn(asked)))

    async def follow(self, request: Request) -> Response:
        """Stream a turn's events behind the last one that was seen: `after`, or Last-Event-ID as browsers send it."""
        last = answers.whole(request.headers.get("last-event-id", "0"), "Last-Event-ID", most=MAX_SEQ)
        after = answers.number(request, "after", default=last, most=MAX_SEQ)
        return await _stream(self._agent.follow(id_of(request), after))

    async def log(self, request: Request) -> Response:
        """Read all that is kept of a turn."""
        return answers.answer(await self._agent.log(id_of(request)))

    async def cancel(self, request: Request) -> Response:
        """End a turn."""
        await self._agent.cancel(id_of(request))
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
