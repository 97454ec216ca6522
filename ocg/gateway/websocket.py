"""The WebSocket at /ws/chat: many turns on one socket. The agent owns the turns; closing the socket ends none."""

import asyncio
import logging
from contextlib import suppress
from typing import Annotated, Any

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from ocg.errors import Code, OcgError
from ocg.gateway import caller
from ocg.gateway.limits import Limits
from ocg.gateway.upstream import Agent
from ocg.lifecycle.answers import error_response
from ocg.protocol import wire
from ocg.protocol.messages import MAX_IMAGES, MAX_SEQ, Id, Image, Mode, Name, Text, TurnRequest

_MAX_SOCKETS = 256
_MAX_TURNS = 16
_MAX_WAITING_BYTES = 4 << 20
_TRY_AGAIN_LATER = 1013
_LAST_WORD_S = 5.0

_log = logging.getLogger(__name__)


class TurnAsked(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="turn"):
    """The client asks for a turn; the same `message_id` joins it again. The rest is as in `TurnRequest`."""

    message: Text
    session_id: Name | None = None
    message_id: Id | None = None
    mode: Mode = "queue"
    after: Annotated[int, msgspec.Meta(ge=0, le=MAX_SEQ)] = 0
    images: Annotated[tuple[Image, ...], msgspec.Meta(max_length=MAX_IMAGES)] = ()


class CancelAsked(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="cancel"):
    """The client wants a turn to end."""

    turn_id: Name


class Problem(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="error"):
    """What went wrong; `message_id` says with which turn asked for."""

    code: str
    message: str
    hint: str = ""
    message_id: str | None = None


class _Marked(msgspec.Struct, frozen=True):
    """What can be known of a message that does not fit: which one it is."""

    message_id: str | None = None


class ChatRoute:
    """Accepts sockets, up to a limit."""

    def __init__(self, agent: Agent, limits: Limits) -> None:
        self._agent = agent
        self._limits = limits
        self._open = 0

    async def connect(self, socket: WebSocket) -> None:
        """Serve one socket to its end."""
        if self._open >= _MAX_SOCKETS:
            error = OcgError(Code.BUSY, f"{_MAX_SOCKETS} sockets are open", "close a page, or try again later")
            await socket.send_denial_response(error_response(error))
            return
        self._open += 1
        try:
            await socket.accept()
            await _Chat(socket, self._agent, self._limits).serve()
        finally:
            self._open -= 1


class _Chat:
    """One socket: a task that sends, one a turn, and the loop that reads."""

    def __init__(self, socket: WebSocket, agent: Agent, limits: Limits) -> None:
        self._socket = socket
        self._caller = caller.who(socket)
        self._agent = agent
        self._limits = limits
        self._outbox = _Outbox()
        self._turns: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        """Read and send until the client goes, or must."""
        tasks = [asyncio.ensure_future(one) for one in (self._read(), self._send(), self._outbox.overfull.wait())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _ended(*tasks, *self._turns)
        for task in tasks:
            if not task.cancelled() and (error := task.exception()):
                raise error
        if self._outbox.overfull.is_set():
            await self._drop()

    async def _read(self) -> None:
        while (message := await self._socket.receive())["type"] != "websocket.disconnect":
            data = message.get("text") or message.get("bytes") or ""
            try:
                self._act(wire.decode(TurnAsked | CancelAsked, data))  # type: ignore[arg-type] # a union is a type to msgspec
            except OcgError as error:
                self._outbox.put(_problem(error, _mark_of(data)))

    def _act(self, asked: TurnAsked | CancelAsked) -> None:
        is_urgent = isinstance(asked, CancelAsked) or asked.message.strip() == "/stop"
        if len(self._turns) >= _MAX_TURNS * (2 if is_urgent else 1):
            raise OcgError(Code.BUSY, f"{_MAX_TURNS} turns run on this socket", "wait for one to end")
        if not is_urgent:
            self._limits.check(self._caller.limit_keys).check()
        duty = self._turn(asked) if isinstance(asked, TurnAsked) else self._cancel(asked)
        task = asyncio.create_task(duty)
        self._turns.add(task)
        task.add_done_callback(self._turns.discard)

    async def _turn(self, asked: TurnAsked) -> None:
        request = TurnRequest(
            message=asked.message,
            session_id=asked.session_id,
            message_id=asked.message_id,
            mode=asked.mode,
            after=asked.after,
            images=asked.images,
        )
        try:
            async for event in self._agent.turn(self._caller.turn(request)):
                self._outbox.put(wire.encode(event))
        except OcgError as error:
            self._outbox.put(_problem(error, asked.message_id))
        except Exception:  # noqa: BLE001 - the socket and its other turns go on
            _log.exception("a turn on a socket failed")
            bug = OcgError(Code.INTERNAL, "a bug in OCG; the log has its traceback", "ocg logs")
            self._outbox.put(_problem(bug, asked.message_id))

    async def _cancel(self, asked: CancelAsked) -> None:
        try:
            await self._agent.cancel(asked.turn_id)
        except OcgError as error:
            self._outbox.put(_problem(error, None))

    async def _send(self) -> None:
        with suppress(WebSocketDisconnect):
            while True:
                await self._socket.send_text((await self._outbox.get()).decode())

    async def _drop(self) -> None:
        """Say why to a client that does not read, should it begin to; the rest is the server's and the kernel's."""
        _log.warning("a socket was closed: its client does not read what it asked for")
        with suppress(TimeoutError, WebSocketDisconnect):
            async with asyncio.timeout(_LAST_WORD_S):
                await self._socket.close(_TRY_AGAIN_LATER, "too slow: messages were piling up")


class _Outbox:
    """Messages waiting to be sent, bounded by their size; once overfull it takes no more."""

    def __init__(self) -> None:
        self.overfull = asyncio.Event()
        self._waiting: asyncio.Queue[bytes] = asyncio.Queue()
        self._bytes = 0

    def put(self, data: bytes) -> None:
        """Add one."""
        if self._bytes + len(data) > _MAX_WAITING_BYTES:
            self.overfull.set()
        if not self.overfull.is_set():
            self._waiting.put_nowait(data)
            self._bytes += len(data)

    async def get(self) -> bytes:
        """Take the oldest."""
        data = await self._waiting.get()
        self._bytes -= len(data)
        return data


def _problem(error: OcgError, message_id: str | None) -> bytes:
    return wire.encode(Problem(code=error.code, message=error.message, hint=error.hint, message_id=message_id))


def _mark_of(data: str | bytes) -> str | None:
    with suppress(OcgError):
        return wire.decode(_Marked, data).message_id
    return None


async def _ended(*tasks: "asyncio.Future[Any]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
