"""Running a program and passing on what it writes. Only what takes no time to import is used."""

import os
import select
import time

from ocg.protocol import frames
from ocg.tool import quickjson
from ocg.tool.connection import Connection
from ocg.tool.program import SIGKILL, SIGTERM, Program

_PIECE = 1 << 16
_MAX_INPUT = 1 << 20
_MAX_BEHIND = 1 << 20  # what a pipe may hold when all who wrote to it are gone
_TERM_S = 2.0
# What a program has left behind may still say something, and then has to go.
_BEHIND_S = 0.5
_RUNNING, _ASKED_TO_END, _ENDED, _KILLED = range(4)


def run(connection: Connection, data: bytes) -> None:
    """Do what ocg.protocol.tooling.Run says."""
    asked = quickjson.loads(data)
    os.environ.update(asked["env"])
    try:
        os.chdir(asked["folder"])
        apart = asked["parts_errors"]
        program = Program(asked["argv"], is_interactive=asked["is_interactive"], parts_errors=apart)
    except (OSError, ValueError) as error:
        name = getattr(error, "filename", None) or asked["argv"][0]
        why = f"{name}: {getattr(error, 'strerror', None) or error}"
        failure = f'{{"code":"invalid_request","message":{quickjson.quoted(why)},"hint":"look with ls"}}'
        connection.send(frames.FAILURE, failure.encode())
        return
    pump = Pump(connection, program, asked["timeout_s"])
    try:
        pump.run()
    finally:
        program.signal(SIGKILL)
    connection.sock.setblocking(True)
    connection.send(frames.RESULT, pump.ended())
    connection.await_end()


class Pump:
    """Passes on what a program writes and what is written to it, never more than what is taken at the other end."""

    def __init__(self, connection: Connection, program: Program, timeout_s: float) -> None:
        self._sock = connection.sock
        self._sock.setblocking(False)
        self._program = program
        self._stage = _RUNNING
        self._due_s = time.monotonic() + timeout_s if timeout_s else None
        self._status: int | None = None
        self._why = ""
        self._came = b""
        self._to_agent = memoryview(b"")
        self._to_program = b""
        self._is_input_over = False
        self._open = {program.errors: frames.ERRORS} | {program.output: frames.OUTPUT}
        self._left_bytes = _MAX_BEHIND

    def run(self) -> None:
        """Go on until the program has ended, and whatever it wrote is with the agent. Exits when the agent goes."""
        while self._status is None or self._open or self._to_agent:
            self._wait()
            if self._left_s() == 0:
                self._go_on()

    def ended(self) -> bytes:
        """Return an ocg.protocol.tooling.Ended."""
        status = -SIGKILL if self._status is None else self._status  # the kernel has yet to let it go
        exited, signal = (status, "null") if status >= 0 else ("null", -status)
        return f'{{"status":{exited},"signal":{signal},"why":"{self._why}"}}'.encode()

    def _wait(self) -> None:
        """Wait until something can be done, and do it."""
        poll = select.poll()
        wants = (select.POLLIN if len(self._to_program) < _MAX_INPUT else 0) | select.POLLRDHUP
        poll.register(self._sock, wants | (select.POLLOUT if self._to_agent else 0))
        if self._status is None:
            poll.register(self._program.process, select.POLLIN)
        for descriptor in self._open if not self._to_agent else ():
            poll.register(descriptor, select.POLLIN)
        if self._to_program and self._program.input >= 0:
            poll.register(self._program.input, select.POLLOUT)
        left_s = self._left_s()
        for descriptor, events in poll.poll(None if left_s is None else left_s * 1000 + 1):
            self._do(descriptor, events)

    def _do(self, descriptor: int, events: int) -> None:
        if descriptor in self._open:
            self._read(descriptor)
        elif descriptor == self._program.input:
            self._write()
        elif descriptor == self._program.process:
            self._status = self._program.status()
            self._enter(_ENDED, _BEHIND_S)
        else:
            try:
                self._exchange(events)
            except OSError:  # the agent is gone
                raise SystemExit(1) from None

    def _exchange(self, events: int) -> None:
        if self._to_agent and events & select.POLLOUT:
            self._to_agent = self._to_agent[self._sock.send(self._to_agent) :]
        if events & ~select.POLLOUT:
            self._receive()

    def _read(self, descriptor: int) -> None:
        """Take one piece; the next is read when this one is with the agent."""
        if self._to_agent:
            return
        piece = os.read(descriptor, _PIECE)
        if self._stage == _KILLED:
            self._left_bytes -= len(piece)
        if piece and self._left_bytes > 0:
            self._to_agent = memoryview(frames.frame(self._open[descriptor], piece))
        else:
            del self._open[descriptor]

    def _write(self) -> None:
        try:
            self._to_program = self._to_program[os.write(self._program.input, self._to_program) :]
        except OSError:  # it reads no more
            self._to_program = b""
            self._is_input_over = True
        if self._is_input_over and not self._to_program:
            self._program.close_input()

    def _receive(self) -> None:
        came = self._sock.recv(_PIECE)
        if not came:
            raise SystemExit(1)
        self._came += came
        while len(self._came) >= frames.HEADER.size:
            kind, size = frames.HEADER.unpack_from(self._came)
            if size > frames.MAX_BYTES:
                raise SystemExit(1)
            end = frames.HEADER.size + size
            if len(self._came) < end:
                return
            self._take(kind, self._came[frames.HEADER.size : end])
            self._came = self._came[end:]

    def _take(self, kind: bytes, data: bytes) -> None:
        if kind == frames.SIGNAL and data:
            self._program.signal(data[0])
        elif kind == frames.INPUT and not self._is_input_over:
            self._to_program += data
        elif kind == frames.INPUT_END:
            self._is_input_over = True
            if not self._to_program:
                self._program.close_input()

    def _left_s(self) -> float | None:
        """Return how long the stage may still take; None is for ever, as at the end for an agent that is slow."""
        is_held_up = self._stage >= _ENDED and bool(self._to_agent)
        return None if self._due_s is None or is_held_up else max(self._due_s - time.monotonic(), 0.0)

    def _go_on(self) -> None:
        """Do what is to be done when the time of a stage is over."""
        if self._stage == _RUNNING:
            self._why = "timeout"
            self._program.signal(SIGTERM)
            self._enter(_ASKED_TO_END, _TERM_S)
        elif self._stage in {_ASKED_TO_END, _ENDED}:
            self._program.signal(SIGKILL)
            self._enter(_KILLED, _BEHIND_S)
        else:  # who still holds the pipe has left the group; what holds the cage ends it
            self._open.clear()
            self._status = -SIGKILL if self._status is None else self._status

    def _enter(self, stage: int, time_s: float) -> None:
        self._stage = max(stage, self._stage)
        self._due_s = time.monotonic() + time_s
