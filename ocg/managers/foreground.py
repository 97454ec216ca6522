"""`ocg start --foreground`: the direct manager stays, restarts what dies, and ends all three in order (containers)."""

import os
import select
import signal
import socket
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from ocg import config
from ocg.errors import EX_CONFIG
from ocg.lifecycle import sockets
from ocg.managers.base import SERVICES, Phase, Progress, StartFailedError
from ocg.managers.direct import DirectManager, only_one
from ocg.managers.process import Process

# As in the units: five restarts within a minute, then a person has to look.
_MAX_RESTARTS = 5
_WINDOW_S = 60.0
_MAX_DELAY_S = 8.0


class Foreground:
    """Runs the three until SIGTERM or SIGINT; the agent's socket stays open while the agent is restarted."""

    def __init__(self, settings: config.Common) -> None:
        self._settings = settings
        self._manager = DirectManager(settings, to_terminal=True)
        self._restarts: dict[str, deque[float]] = {service: deque() for service in SERVICES}
        self._running: dict[str, Process] = {}

    def run(self) -> Iterator[Progress]:
        """Start, watch, stop. Raises StartFailedError when a service cannot be kept running."""
        with _stop_signals() as stop_fd, only_one(self._settings.pid_dir):
            yield from self._manager.stop_running()
            with sockets.listen_unix(self._settings.agent_sock) as listener:
                try:
                    yield from self._launch(SERVICES, listener)
                    yield from self._watch(stop_fd, listener)
                except BaseException:
                    self._forget()
                    for _ in self._manager.stop_running():
                        pass
                    raise
                self._forget()
                yield from self._manager.stop_running()

    def _launch(self, services: tuple[str, ...], listener: socket.socket) -> Iterator[Progress]:
        self._running |= yield from self._manager.launch(services, listener=listener)

    def _watch(self, stop_fd: int, listener: socket.socket) -> Iterator[Progress]:
        while True:
            poll = select.poll()
            poll.register(stop_fd, select.POLLIN)
            for process in self._running.values():
                poll.register(process.pidfd, select.POLLIN)
            ready = {descriptor for descriptor, _ in poll.poll()}
            if stop_fd in ready:
                return
            for service, process in list(self._running.items()):
                if process.pidfd in ready:
                    yield Progress(service, Phase.STOPPED, 0.0, self._buried(service, process))
                    yield from self._restart(service, stop_fd, listener)

    def _restart(self, service: str, stop_fd: int, listener: socket.socket) -> Iterator[Progress]:
        """Start a service that died until it stays up, or a signal comes. Raises StartFailedError past the limit."""
        while not _waited(stop_fd, self._delay_s(service)):
            try:
                yield from self._launch((service,), listener)
            except StartFailedError as error:
                if error.exit_status == EX_CONFIG:
                    raise
                yield Progress(service, Phase.STOPPED, 0.0, error.message)
            else:
                return

    def _buried(self, service: str, process: Process) -> str:
        """Reap a service that died and say how."""
        status = process.reap()
        del self._running[service]
        process.close()
        return f"exit status {status}" if status >= 0 else signal.Signals(-status).name

    def _delay_s(self, service: str) -> float:
        """Return how long to wait before the restart. Raises StartFailedError past the limit."""
        now, past = time.monotonic(), self._restarts[service]
        while past and now - past[0] > _WINDOW_S:
            past.popleft()
        if len(past) >= _MAX_RESTARTS:
            raise StartFailedError(service, f"died {_MAX_RESTARTS + 1} times within a minute", "see its log")
        past.append(now)
        return float(min(2.0 ** (len(past) - 1) / 4, _MAX_DELAY_S))

    def _forget(self) -> None:
        for process in self._running.values():
            process.close()


def _waited(stop_fd: int, seconds: float) -> bool:
    """Wait so long; return whether a signal came meanwhile."""
    poll = select.poll()
    poll.register(stop_fd, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


@contextmanager
def _stop_signals() -> Iterator[int]:
    """Turn SIGTERM and SIGINT into a descriptor that becomes readable, and stays so."""
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    old_fd = signal.set_wakeup_fd(writer)
    old = {one: signal.signal(one, lambda *_: None) for one in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield reader
    finally:
        for one, handler in old.items():
            signal.signal(one, handler)
        signal.set_wakeup_fd(old_fd)
        os.close(reader)
        os.close(writer)
