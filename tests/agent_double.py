"""A stand-in for ocg-agent that speaks its protocol and behaves as the message says; GET /seen tells what it was asked.

Its turns go on when their client leaves, as the agent's do.
"""

import asyncio
import os
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from socket import socket

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from ocg import config
from ocg.errors import Code, OcgError
from ocg.lifecycle import answers, service, sockets
from ocg.lifecycle.notify import Notifier
from ocg.lifecycle.service import Serving
from ocg.protocol import messages, sse, wire
from ocg.protocol.events import LAST, TextDelta, ToolCall, ToolResult, TurnCompleted, TurnEvent, TurnFailed, TurnStarted

SESSION = messages.Session(id="s-1", title="One", created_at=1.0, updated_at=2.0, messages=1)
MEMORY = messages.Memory(id="m-1", text="a fact", kind="fact", created_at=1.0)


class Seen(msgspec.Struct):
    """What it was asked."""

    turns: list[messages.TurnRequest] = []
    cancelled: list[str] = []
    memories: list[messages.MemoryRequest] = []
    queries: list[str] = []


Together = Callable[[int], Awaitable[object]]


class _Turn:
    """One turn: its events so far, and who waits for more."""

    def __init__(self, number: int, request: messages.TurnRequest, together: "Together") -> None:
        self._together = together
        self.id = f"t-{number}"
        self.events: list[TurnEvent] = []
        self.more = asyncio.Event()
        self._request = request
        self.session = request.session_id or f"s-{number}"

    def add(self, kind: type, **fields: object) -> None:
        self.events.append(kind(turn_id=self.id, session_id=self.session, seq=len(self.events) + 1, **fields))
        self.more.set()

    async def run(self) -> None:
        text = self._request.message
        self.add(TurnStarted, message_id=self._request.message_id or "")
        if "fails at once" in text:
            self.add(TurnFailed, code=Code.CONTEXT_LENGTH, message="too long", hint="send less")
            return
        if "is silent" in text:
            await asyncio.sleep(60)
        self.add(TextDelta, text="Hello, ")
        if "fails late" in text:
            self.add(TurnFailed, code=Code.PROVIDER, message="the model broke", hint="mend it")
            return
        if found := re.search(r"waits for (\d+)", text):
            await self._together(int(found[1]))
        if "dies" in text:
            await asyncio.sleep(0.1)
            os._exit(9)
        if "floods" in text:
            for _ in range(256):
                self.add(TextDelta, text="x" * 65536)
                await asyncio.sleep(0)
        if "is long" in text:
            for _ in range(3000):
                await asyncio.sleep(0.01)
                self.add(TextDelta, text="more ")
        self.add(ToolCall, call_id="c", name="time", arguments="{}")
        self.add(ToolResult, call_id="c", name="time", content="noon")
        self.add(TextDelta, text="world")
        usage = messages.Usage(prompt_tokens=3, completion_tokens=2)
        self.add(TurnCompleted, text="Hello, world", usage=usage)

    async def follow(self, told: int = 0) -> AsyncGenerator[bytes, None]:
        while True:
            for event in self.events[told:]:
                told += 1
                yield sse.frame(wire.encode(event), event_id=event.seq)
                if isinstance(event, LAST):
                    return
            self.more.clear()
            await self.more.wait()


class AgentDouble:
    """The routes."""

    name = "ocg-agent"

    def __init__(self, settings: config.AgentSettings) -> None:
        self.pid_dir = settings.pid_dir
        self._settings = settings
        self._seen = Seen([], [], [], [])
        self._news = asyncio.Event()
        self._barriers: dict[int, asyncio.Barrier] = {}
        self._turns: dict[str, tuple[_Turn, asyncio.Task[None]]] = {}

    @asynccontextmanager
    async def open(self, notifier: Notifier, inherited: list[socket]) -> AsyncIterator[Serving]:
        del notifier
        listener = inherited[0] if inherited else sockets.listen_unix(self._settings.agent_sock)
        yield Serving(answers.create_app(self._routes()), [listener], str(self._settings.agent_sock))
        for _, task in self._turns.values():
            task.cancel()

    def _routes(self) -> list[Route]:
        return [
            Route("/health", self._health),
            Route("/seen", self._tell),
            Route("/v1/turns", self._turn, methods=["POST"]),
            Route("/v1/turns/{id}/events", self._follow),
            Route("/v1/turns/{id}/cancel", self._cancel, methods=["POST"]),
            Route("/v1/sessions", self._sessions),
            Route("/v1/sessions/{id}", self._session, methods=["GET", "DELETE"]),
            Route("/v1/memories", self._memories, methods=["GET", "POST"]),
            Route("/v1/memories/{id}", self._session, methods=["DELETE"]),
        ]

    async def _health(self, _: Request) -> Response:
        return answers.answer(messages.Health(service=self.name, version="0"))

    async def _tell(self, request: Request) -> Response:
        """Answer once there were so many turns, and so many cancelled, as the query says; it gives up after 5 s."""
        query = request.query_params
        async with asyncio.timeout(5):
            while len(self._seen.turns) < int(query["turns"]) or len(self._seen.cancelled) < int(query["cancelled"]):
                self._news.clear()
                await self._news.wait()
        return answers.answer(self._seen)

    async def _turn(self, request: Request) -> Response:
        asked = await answers.read(request, messages.TurnRequest)
        self._seen.turns.append(asked)
        self._news.set()
        turn = self._known(asked)
        return StreamingResponse(turn.follow(), media_type=sse.CONTENT_TYPE)

    async def _follow(self, request: Request) -> Response:
        for turn, _ in self._turns.values():
            if turn.id == request.path_params["id"]:
                after = int(request.query_params["after"])
                return StreamingResponse(turn.follow(after), media_type=sse.CONTENT_TYPE)
        raise OcgError(Code.NOT_FOUND, "no such turn", "list them")

    def _known(self, asked: messages.TurnRequest) -> _Turn:
        key = asked.message_id or str(len(self._turns))
        if key not in self._turns:
            turn = _Turn(len(self._turns) + 1, asked, self._together)
            self._turns[key] = turn, asyncio.create_task(turn.run())
        return self._turns[key][0]

    async def _together(self, number: int) -> None:
        """Wait until so many turns do; then all go on."""
        await self._barriers.setdefault(number, asyncio.Barrier(number)).wait()

    async def _cancel(self, request: Request) -> Response:
        found = request.path_params["id"]
        for turn, task in self._turns.values():
            if turn.id == found and not task.done():
                task.cancel()
                turn.add(TurnFailed, code=Code.CANCELLED, message="cancelled")
                self._seen.cancelled.append(turn.session)
                self._news.set()
                return answers.answer(messages.Changed(count=1))
        raise OcgError(Code.NOT_FOUND, f"no turn {found} runs", "it may be over")

    async def _sessions(self, _: Request) -> Response:
        return answers.answer(messages.SessionList(sessions=(SESSION,)))

    async def _session(self, request: Request) -> Response:
        if request.path_params["id"] not in {SESSION.id, MEMORY.id}:
            raise OcgError(Code.NOT_FOUND, "no such thing", "list them")
        if request.method == "DELETE":
            return answers.answer(messages.Changed(count=1))
        big = messages.Message(id="1", role="user", content="é" * 400_000, created_at=1.0)
        return answers.answer(messages.Transcript(session=SESSION, messages=(big,)))

    async def _memories(self, request: Request) -> Response:
        if request.method == "POST":
            self._seen.memories.append(await answers.read(request, messages.MemoryRequest))
            return answers.answer(MEMORY)
        self._seen.queries.append(str(request.query_params))
        return answers.answer(messages.MemoryList(memories=(MEMORY,)))


if __name__ == "__main__":
    service.main("ocg-agent", "an agent that says what it is told to", config.AgentSettings, AgentDouble)
