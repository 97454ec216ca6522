"""The direct manager: where no systemd runs, it does for the length of a start what systemd would do."""

import fcntl
import os
import select
import socket
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ocg import config
from ocg.errors import Code, OcgError
from ocg.lifecycle import pidfile, sockets
from ocg.managers import health, logfiles
from ocg.managers.base import (
    AGENT,
    EXIT_HINTS,
    GATEWAY,
    SERVICES,
    Phase,
    Progress,
    StartFailedError,
    Status,
    not_running,
)
from ocg.managers.notifysocket import NotifySocket
from ocg.managers.process import Process, executable

START_TIMEOUT_S = 60.0
CommandOf = Callable[[str], tuple[str, ...]]


@dataclass(slots=True)
class _Launch:
    """A service that is on its way up."""

    service: str
    process: Process
    log_from_bytes: int
    began: float
    deadline: float
    said: str = ""

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began


class DirectManager:
    """Runs the services as processes of their own.

    `to_terminal` lets them write here instead of to log files; `command_of` says which command runs a service.
    """

    name = "direct"

    def __init__(
        self, settings: config.Common, *, to_terminal: bool = False, command_of: CommandOf = executable
    ) -> None:
        self._settings = settings
        self._command_of = command_of
        self._to_terminal = to_terminal

    def start(self) -> Iterator[Progress]:
        """See Manager."""
        with self._alone():
            yield from self.stop_running(force=False)
            for process in (yield from self.launch(SERVICES)).values():
                process.close()

    def stop(self, *, force: bool = False) -> Iterator[Progress]:
        """See Manager."""
        with self._alone():
            yield from self.stop_running(force=force)

    def reload(self) -> Iterator[Progress]:
        """See Manager. What comes of it is in the logs: nobody but its starter hears what a service says."""
        running = [(one, process) for one in SERVICES if (process := Process.find(self._settings.pid_dir, one))]
        if not running:
            raise not_running()
        for service, process in running:
            try:
                process.hang_up()
            finally:
                process.close()
            yield Progress(service, Phase.RELOADED, detail="asked; `ocg logs` tells what came of it")

    def status(self) -> Status:
        """See Manager."""
        pids = {service: pidfile.holder(self._settings.pid_dir, service) for service in SERVICES}
        if pids[GATEWAY] is None:
            return Status(pids, "not running" if not any(pids.values()) else "ocg-gateway not running")
        try:
            return Status(pids, health.check(GATEWAY, health.gateway_url(self._settings)))
        except OcgError as error:
            return Status(pids, error.message)

    def launch(
        self, services: tuple[str, ...], *, listener: socket.socket | None = None
    ) -> Generator[Progress, None, dict[str, Process]]:
        """Start services in order, each once the one before is healthy; on any failure stop those already started.

        Returns their processes, which are the caller's to close. `listener` is the agent's socket where the caller
        keeps it open; else one is made and handed over for good.
        """
        started: dict[str, Process] = {}
        with ExitStack() as owned, NotifySocket(self._settings.pid_dir) as notify:
            if listener is None and AGENT in services:
                listener = owned.enter_context(sockets.listen_unix(self._settings.agent_sock))
            try:
                for service in services:
                    launch = self._spawn(service, notify, listener if service == AGENT else None)
                    started[service] = launch.process
                    yield from self._rise(launch, notify)
            except BaseException:
                for process in reversed(started.values()):
                    with suppress(OcgError):
                        process.end(force=False)
                    process.close()
                raise
        return started

    def _spawn(self, service: str, notify: NotifySocket, listener: socket.socket | None) -> _Launch:
        settings = self._settings
        command = [
            *self._command_of(service),
            *(("--config", str(settings.config_file)) if settings.config_file.exists() else ()),
            "--pid-dir",
            str(settings.pid_dir),
        ]
        environ = dict(os.environ) | {"NOTIFY_SOCKET": str(notify.path)}
        log = os.dup(2) if self._to_terminal else logfiles.open_log(settings.log_dir, service)
        began = time.monotonic()
        try:
            size = os.fstat(log).st_size
            descriptor = None if listener is None else listener.fileno()
            process = Process.spawn(command, environ, log=log, listener=descriptor)
        finally:
            os.close(log)
        return _Launch(service, process, size, began, began + START_TIMEOUT_S)

    def _rise(self, launch: _Launch, notify: NotifySocket) -> Iterator[Progress]:
        """Wait for READY=1, then for the health check, and tell what the service says meanwhile."""
        yield Progress(launch.service, Phase.STARTING)
        for message in self._messages(launch, notify):
            if status := message.get("STATUS"):
                launch.said = status
                yield Progress(launch.service, Phase.STARTING, launch.seconds, status)
            if usec := message.get("EXTEND_TIMEOUT_USEC"):
                launch.deadline = max(launch.deadline, time.monotonic() + int(usec) / 1e6)
            if message.get("READY") == "1":
                break
        try:
            where = health.location(launch.service, self._settings)
            verdict = health.check(launch.service, where)
        except OcgError as error:
            verdict = error.message
        if verdict != "ok":
            raise self._failed(launch, f"is not healthy: {verdict}", "ocg status")
        yield Progress(launch.service, Phase.READY, launch.seconds, where)

    def _messages(self, launch: _Launch, notify: NotifySocket) -> Iterator[dict[str, str]]:
        """Give what the service notifies. Raises StartFailedError when it ends or its time is over."""
        poll = select.poll()
        poll.register(notify, select.POLLIN)
        poll.register(launch.process.pidfd, select.POLLIN)
        while True:
            left = launch.deadline - time.monotonic()
            ready = [descriptor for descriptor, _ in poll.poll(max(left, 0) * 1000)]
            if notify.fileno() in ready:
                yield notify.receive()
            elif ready:
                status = launch.process.reap()
                why = f"ended with exit status {status}" if status >= 0 else f"was killed by signal {-status}"
                raise self._failed(launch, why, EXIT_HINTS.get(status, "see its log"), exit_status=status)
            else:
                raise self._failed(launch, f"was not ready after {launch.seconds:.0f} s", "see its log")

    def _failed(self, launch: _Launch, why: str, hint: str, *, exit_status: int | None = None) -> StartFailedError:
        said = f": {launch.said}" if launch.said else ""
        lines: tuple[str, ...] = ()
        if not self._to_terminal:
            lines = logfiles.tail(self._settings.log_dir, launch.service, since_bytes=launch.log_from_bytes)
        return StartFailedError(launch.service, why + said, hint, exit_status=exit_status, log_lines=lines)

    def stop_running(self, *, force: bool = False) -> Iterator[Progress]:
        """Stop what runs; the caller holds the lock."""
        folder = self._settings.pid_dir
        for service in reversed(SERVICES):
            process = Process.find(folder, service)
            if process is not None:
                yield Progress(service, Phase.STOPPING)
                try:
                    rung, seconds = process.end(force=force)
                finally:
                    process.close()
                yield Progress(service, Phase.STOPPED, seconds, rung)
            (folder / f"{service}.pid").unlink(missing_ok=True)
        for path in (self._settings.agent_sock, self._settings.gateway_sock):
            if path:
                sockets.remove_unix(path)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep a second start or stop away while this one is at work. Raises ALREADY_RUNNING."""
        with only_one(self._settings.pid_dir):
            yield


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder of PID files. Raises ALREADY_RUNNING when another command has it."""
    pidfile.open_dir(folder)
    lock = os.open(folder / "ocg.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise OcgError(
            Code.ALREADY_RUNNING, "another `ocg start` or `ocg stop` is at work", "wait for it, then try again"
        ) from None
    else:
        yield
    finally:
        os.close(lock)
