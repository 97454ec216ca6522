"""The WebSocket at /ws/chat: many turns on one socket. The agent owns the turns; closing the socket ends none."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Any

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from ocg.errors import Code, OcgError
from ocg.gateway import caller
from ocg.gateway.frames import ApprovalGiven, Asked, CancelAsked, FollowAsked, Marks, Problem, TurnAsked
from ocg.gateway.limits import Limits
from ocg.gateway.shares import Shares
from ocg.gateway.upstream import Agent
from ocg.protocol import wire
from ocg.protocol.approvals import ApprovalAnswer
from ocg.protocol.events import TurnEvent

# A page that offers a token by a protocol's name wants one of those it offers chosen.
_PROTOCOL = "ocg"
_MAX_TURNS = 16
_MAX_WAITING_BYTES = 4 << 20
_TRY_AGAIN_LATER = 1013
_LAST_WORD_S = 5.0

_log = logging.getLogger(__name__)


class ChatRoute:
    """Accepts sockets; how many there may be, the door says."""

    def __init__(self, agent: Agent, limits: Limits, places: Shares) -> None:
        self._agent = agent
        self._limits = limits
        self._places = places

    async def connect(self, socket: WebSocket) -> None:
        """Serve one socket to its end."""
        await socket.accept(_PROTOCOL if _PROTOCOL in socket.scope["subprotocols"] else None)
        await _Chat(socket, self._agent, self._limits, self._places).serve()


class _Chat:
    """One socket: a task that sends, one a turn, and the loop that reads."""

    def __init__(self, socket: WebSocket, agent: Agent, limits: Limits, places: Shares) -> None:
        self._socket = socket
        self._caller = caller.who(socket)
        self._agent = agent
        self._limits = limits
        self._places = places
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
                self._act(wire.decode(Asked, data))  # type: ignore[arg-type] # a union is a type to msgspec
            except OcgError as error:
                self._outbox.put(_problem(error, _marks_of(data)))

    def _act(self, asked: Asked) -> None:
        is_stop = isinstance(asked, TurnAsked) and asked.message.strip() == "/stop"
        is_urgent = is_stop or isinstance(asked, CancelAsked | ApprovalGiven)
        if len(self._turns) >= _MAX_TURNS * (2 if is_urgent else 1):
            raise OcgError(Code.BUSY, f"{_MAX_TURNS} turns run on this socket", "wait for one to end")
        if isinstance(asked, TurnAsked):
            check = self._limits.check_stop if is_stop else self._limits.check
            check(self._caller.limit_keys).check()
        task = asyncio.create_task(self._do(asked))
        self._turns.add(task)
        task.add_done_callback(self._turns.discard)

    async def _do(self, asked: Asked) -> None:
        """Do what is asked; whatever goes wrong, the socket and its other turns go on."""
        try:
            with self._places.open(self._caller) as take:
                take(1)  # each has a connection of its own to the agent
                await self._ask(asked)
        except OcgError as error:
            self._outbox.put(_problem(error, _marks(asked)))
        except Exception:  # noqa: BLE001 - the socket and its other turns go on
            _log.exception("a turn on a socket failed")
            bug = OcgError(Code.INTERNAL, "a bug in OCG; the log has its traceback", "ocg logs")
            self._outbox.put(_problem(bug, _marks(asked)))

    async def _ask(self, asked: Asked) -> None:
        match asked:
            case TurnAsked():
                await self._tell(self._agent.turn(self._caller.turn(asked.request())))
            case FollowAsked():
                await self._tell(self._agent.follow(asked.turn_id, asked.after))
            case CancelAsked():
                await self._agent.cancel(asked.turn_id)
            case ApprovalGiven():
                self._caller.check("admin", "an approval")
                given = ApprovalAnswer(answer=asked.answer, remember=asked.remember, by=self._caller.name)
                await self._agent.approve(asked.approval_id, given)

    async def _tell(self, turn: AsyncGenerator[TurnEvent, None]) -> None:
        async with aclosing(turn) as events:
            async for event in events:
                self._outbox.put(wire.encode(event))

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


def _problem(error: OcgError, marks: Marks) -> bytes:
    known = msgspec.structs.asdict(marks)
    return wire.encode(Problem(code=error.code, message=error.message, hint=error.hint, **known))


def _marks(asked: Asked) -> Marks:
    match asked:
        case TurnAsked(message_id=message_id):
            return Marks(message_id=message_id)
        case ApprovalGiven(approval_id=approval_id):
            return Marks(approval_id=approval_id)
        case FollowAsked(turn_id=turn_id) | CancelAsked(turn_id=turn_id):
            return Marks(turn_id=turn_id)


def _marks_of(data: str | bytes) -> Marks:
    with suppress(OcgError):
        return wire.decode(Marks, data)
    return Marks()


async def _ended(*tasks: "asyncio.Future[Any]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
