"""Commands that go on in the background: each belongs to a conversation, and ends with it or with the agent."""

import asyncio
import secrets
import time
from contextlib import aclosing, suppress
from dataclasses import dataclass

import msgspec

from ocg.agent.confinement import Confined, Confinement
from ocg.agent.processes import command
from ocg.agent.processes.output import MAX_BYTES, Recent
from ocg.errors import Code, OcgError
from ocg.protocol import frames
from ocg.protocol.tooling import Cage, Ended, Run

_SIGTERM = b"\x0f"
_TERM_S = 3.0
_WRITE_S = 5.0


@dataclass(frozen=True, slots=True)
class Limits:
    """How many there may be, how long one that nobody asks for goes on, and how long a new one is watched at first."""

    in_session: int = 8
    in_all: int = 32
    idle_s: float = 1800.0
    first_s: float = 1.0


class Process:
    """A command in the background. `how` says how it ended, once it has."""

    def __init__(self, session_id: str, line: str, idle_s: float) -> None:
        self.id = secrets.token_hex(3)
        self.session_id = session_id
        self.line = line
        self.how = ""
        self.has_begun, self.ended = asyncio.Event(), asyncio.Event()
        self.output = Recent()
        self._began_s = time.monotonic()
        self._idle_s = idle_s
        self._idle: asyncio.Timeout | None = None
        self._confined: Confined | None = None

    @property
    def state(self) -> str:
        """Say how it is."""
        return self.how or f"running for {time.monotonic() - self._began_s:.0f} s"

    def touch(self) -> None:
        """Somebody asks for it."""
        if self._idle is not None and not (self.how or self._idle.expired()):
            self._idle.reschedule(asyncio.get_running_loop().time() + self._idle_s)

    def news(self) -> str:
        """Return what it wrote since this was last asked, and how it is."""
        return command.joined(self.output.take(), f"process {self.id}: {self.state}")

    async def run(self, confinement: Confinement, cage: Cage, request: Run) -> None:
        """See it through; cancelling ends it."""
        self.how = ""
        how = "ended by the agent"
        try:
            async with asyncio.timeout(self._idle_s) as self._idle:
                how = await self._run(confinement, cage, request)
        except TimeoutError:
            how = f"ended, for nobody asked for it for {self._idle_s:g} s"
        except OcgError as error:
            how = str(error)
        finally:
            self.how, self._confined = how, None
            self.has_begun.set()
            self.ended.set()

    async def _run(self, confinement: Confinement, cage: Cage, request: Run) -> str:
        async with confinement.open(cage, request) as self._confined, aclosing(self._confined.frames()) as coming:
            self.has_begun.set()
            async for kind, data in coming:
                if kind == frames.RESULT:
                    return command.how(msgspec.json.decode(data, type=Ended), request.timeout_s)
                self.output.add(data)
                if self.output.total > MAX_BYTES:
                    break
        return command.how(None, request.timeout_s)

    async def send(self, kind: bytes, data: bytes = b"") -> None:
        """Send it input, or a signal. Raises CONFLICT when it has ended, and BUSY when it reads nothing."""
        if self._confined is None:
            raise OcgError(Code.CONFLICT, f"process {self.id} does not run: {self.state}", "begin another with exec")
        try:
            async with asyncio.timeout(_WRITE_S):
                await self._confined.send(kind, data)
        except TimeoutError:
            raise OcgError(
                Code.BUSY, f"process {self.id} does not read what it was sent", "poll it, or kill it"
            ) from None


class Processes:
    """All there are, and some that have ended and may be asked about."""

    def __init__(self, confinement: Confinement, limits: Limits | None = None) -> None:
        self._confinement = confinement
        self._limits = limits or Limits()
        self._tasks: dict[Process, asyncio.Task[None]] = {}

    async def start(self, session_id: str, line: str, cage: Cage, request: Run) -> Process:
        """Begin one and watch it for a moment. Raises BUSY when there are too many."""
        self._make_room(session_id)
        process = Process(session_id, line, self._limits.idle_s)
        running = process.run(self._confinement, cage, request)
        self._tasks[process] = asyncio.create_task(running, name=f"process {process.id}")
        await process.has_begun.wait()
        await self.wait(process, self._limits.first_s)
        return process

    def of_session(self, session_id: str) -> list[Process]:
        """Return a conversation's, oldest first."""
        return [one for one in self._tasks if one.session_id == session_id]

    def get(self, session_id: str, process_id: str) -> Process:
        """Return one of a conversation's. Raises NOT_FOUND."""
        for one in self.of_session(session_id):
            if one.id == process_id:
                one.touch()
                return one
        why = f"there is no process {process_id!r} any more: the agent was started again, or many others were since"
        raise OcgError(Code.NOT_FOUND, why, "list those there are, or begin it again with exec")

    async def wait(self, process: Process, time_s: float) -> None:
        """Wait until one has ended, at most so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(time_s):
                await process.ended.wait()

    async def kill(self, process: Process) -> None:
        """End one: it is asked to, then it has to."""
        with suppress(OcgError):
            await process.send(frames.SIGNAL, _SIGTERM)
        await self.wait(process, _TERM_S)
        await self._end([process])

    async def end_session(self, session_id: str) -> None:
        """End and forget all of a conversation's."""
        found = self.of_session(session_id)
        await self._end(found)
        for one in found:
            self._tasks.pop(one, None)

    async def close(self) -> None:
        """End all."""
        await self._end(list(self._tasks))

    async def _end(self, processes: list[Process]) -> None:
        tasks = [self._tasks[one] for one in processes if one in self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _make_room(self, session_id: str) -> None:
        """Forget what ended first where there are many. Raises BUSY when all of them run."""
        for known, most in (
            (self.of_session(session_id), self._limits.in_session),
            (list(self._tasks), self._limits.in_all),
        ):
            ended = [one for one in known if one.ended.is_set()]
            if len(known) - len(ended) >= most:
                raise OcgError(
                    Code.BUSY, f"{most} processes run in the background already", "end one of them with process"
                )
            for one in ended[: max(len(known) - most + 1, 0)]:
                self._tasks.pop(one, None)
