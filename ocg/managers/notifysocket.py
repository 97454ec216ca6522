"""The other end of $NOTIFY_SOCKET: what systemd hears of a service, heard by the direct manager."""

import os
import socket
from pathlib import Path
from types import TracebackType
from typing import Self

_MAX_BYTES = 65536


class NotifySocket:
    """A datagram socket that only this user may write to."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / f".notify-{os.getpid()}"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)

    def __enter__(self) -> Self:
        self.path.unlink(missing_ok=True)
        mask = os.umask(0o177)
        try:
            self._socket.bind(str(self.path))
        finally:
            os.umask(mask)
        self._socket.setblocking(False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()
        self.path.unlink(missing_ok=True)

    def fileno(self) -> int:
        """The descriptor, for poll(2)."""
        return self._socket.fileno()

    def receive(self) -> dict[str, str]:
        """Read one message as a map; an empty one when there is none."""
        try:
            text = self._socket.recv(_MAX_BYTES).decode("utf-8", "replace")
        except BlockingIOError:
            return {}
        return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
