"""Real service processes for tests: started with a notify socket, waited for by READY=1, stopped by signals."""

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path


class Process:
    """A service's process, its notifications and its log."""

    def __init__(self, folder: Path, module: str, env: Mapping[str, str]) -> None:
        self.log_file = folder / f"{module}.log"
        self.notifications: list[str] = []
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        path = folder / f"{module}.notify"
        path.unlink(missing_ok=True)  # that of an earlier one
        self._notify.bind(str(path))
        with self.log_file.open("ab") as log:
            self.popen = subprocess.Popen(
                [sys.executable, "-m", module],
                env=dict(env) | {"NOTIFY_SOCKET": str(path)},
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    def wait_ready(self, timeout_s: float = 30.0) -> None:
        """Wait for READY=1; fail with the log when the process ends or the time is over."""
        self.wait_for("READY=1", timeout_s)

    def wait_for(self, text: str, timeout_s: float = 10.0) -> None:
        """Wait for a notification with this text in it, from the first on."""
        deadline = time.monotonic() + timeout_s
        pidfd = os.pidfd_open(self.popen.pid)
        try:
            while not any(text in one for one in self.notifications):
                left = deadline - time.monotonic()
                readable, _, _ = select.select([self._notify.fileno(), pidfd], [], [], max(left, 0))
                if self._notify.fileno() in readable:
                    self.notifications.append(self._notify.recv(4096).decode())
                else:
                    why = "ended" if readable else f"did not say {text} in time"
                    raise AssertionError(f"{self.popen.args!r} {why}:\n{self.log}")
        finally:
            os.close(pidfd)

    def stop(self, *signals: signal.Signals, timeout_s: float = 10.0) -> int:
        """Send the signals (SIGTERM when none is given), the later ones once it stops, and return the exit status.

        Of two that wait at once the kernel delivers the one with the lower number first.
        """
        first, *later = signals or (signal.SIGTERM,)
        self.popen.send_signal(first)
        for one in later:
            self.wait_for("STOPPING=1")
            self.popen.send_signal(one)
        return self.wait(timeout_s)

    def wait(self, timeout_s: float = 10.0) -> int:
        """Wait for the end and return the exit status."""
        try:
            return self.popen.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.popen.args!r} did not end:\n{self.log}") from None

    def close(self) -> None:
        """Kill what is left and free everything."""
        self._notify.close()
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.wait()


@contextlib.contextmanager
def running(folder: Path, module: str, env: Mapping[str, str], *, ready: bool = True) -> Iterator[Process]:
    """Run `python -m module`, ready to serve unless told otherwise, and leave nothing of it behind."""
    process = Process(folder, module, env)
    try:
        if ready:
            process.wait_ready()
        yield process
    finally:
        process.close()
