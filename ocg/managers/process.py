"""A service's process, held by pidfd: nothing here can hit a stranger whose PID is the same."""

import os
import select
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from ocg.errors import Code, OcgError
from ocg.lifecycle.pidfile import holder

RUNG_S = 3.0
_LADDER = (signal.SIGTERM, signal.SIGINT, signal.SIGKILL)
# Sets LISTEN_PID to the PID that the service will have, since exec keeps it (sd_listen_fds(3)).
_LAUNCHER = ("/bin/sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh")
_FIRST_FD = 3


@dataclass(frozen=True, slots=True)
class Process:
    """A process that is surely the one we mean; close() frees the descriptor, not the process."""

    pid: int
    pidfd: int

    @classmethod
    def spawn(
        cls, command: Sequence[str], environ: Mapping[str, str], *, log: int, listener: int | None = None
    ) -> Self:
        """Start a service in a session of its own, with its output in `log` and `listener` as descriptor 3."""
        actions: list[tuple[int, ...] | tuple[int, int, str, int, int]] = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, log, 1),
            (os.POSIX_SPAWN_DUP2, log, 2),
        ]
        env, argv = dict(environ), tuple(command)
        if listener is not None:
            actions.append((os.POSIX_SPAWN_DUP2, listener, _FIRST_FD))
            env |= {"LISTEN_FDS": "1"}
            argv = (*_LAUNCHER, *argv)
        pid = os.posix_spawn(
            argv[0],
            argv,
            env,
            file_actions=actions,
            setsid=True,
            setsigmask=(),
            setsigdef=(signal.SIGINT, signal.SIGTERM, signal.SIGPIPE),
        )
        return cls(pid, os.pidfd_open(pid))

    @classmethod
    def find(cls, folder: Path, service: str) -> Self | None:
        """Return the living holder of a service's PID file; looked up twice, so that the pidfd is surely its."""
        pid = holder(folder, service)
        if pid is None:
            return None
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            return None
        if holder(folder, service) != pid:
            os.close(pidfd)
            return None
        return cls(pid, pidfd)

    def close(self) -> None:
        """Free the descriptor."""
        os.close(self.pidfd)

    def ended(self, timeout_s: float) -> bool:
        """Wait for the end, so long at the most."""
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        return bool(poll.poll(timeout_s * 1000))

    def reap(self) -> int:
        """Return the exit status of a child of ours that has ended, negative for a signal."""
        try:
            found = os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED)
        except ChildProcessError:
            return 0
        if found is None or found.si_code == os.CLD_EXITED:
            return found.si_status if found else 0
        return -found.si_status

    def hang_up(self) -> None:
        """Have it reload its configuration. Raises FORBIDDEN when it may not be signalled."""
        try:
            signal.pidfd_send_signal(self.pidfd, signal.SIGHUP)
        except ProcessLookupError:
            return
        except PermissionError:
            raise OcgError(
                Code.FORBIDDEN, f"PID {self.pid} belongs to another user", "reload it as that user, or with sudo"
            ) from None

    def end(self, *, force: bool) -> tuple[str, float]:
        """Climb the ladder until it ends. Returns the signal that ended it and how long that took, in seconds.

        Raises STOP_FAILED when it may not be signalled, or when even SIGKILL does not end it.
        """
        began = time.monotonic()
        for rung in _LADDER[2:] if force else _LADDER:
            try:
                signal.pidfd_send_signal(self.pidfd, rung)
            except ProcessLookupError:
                pass
            except PermissionError:
                raise OcgError(
                    Code.STOP_FAILED, f"PID {self.pid} belongs to another user", "stop it as that user, or with sudo"
                ) from None
            if self.ended(RUNG_S):
                return rung.name, time.monotonic() - began
        raise OcgError(
            Code.STOP_FAILED, f"PID {self.pid} did not end within 3 s of SIGKILL", "the kernel holds it: see `dmesg`"
        )


def executable(service: str) -> tuple[str, ...]:
    """Return the command that runs a service: the script beside this interpreter, else the module."""
    script = Path(sys.executable).with_name(service)
    if script.exists():
        return (str(script),)
    return (sys.executable, "-m", service.replace("-", "."))
