"""systemd's notification protocol (sd_notify(3)), spoken by sdnotify to whoever started us, or to nobody."""

import os
import socket
import time
from contextlib import suppress

import sdnotify


class Notifier:
    """Says what becomes of the service over $NOTIFY_SOCKET; without one it says nothing."""

    def __init__(self) -> None:
        self._notifier = sdnotify.SystemdNotifier()

    def _say(self, text: str) -> None:
        # sdnotify encodes as Latin-1 and silently drops what does not fit; this makes the bytes UTF-8 after all.
        self._notifier.notify(text.encode("utf-8", "replace").decode("latin-1"))

    def ready(self, status: str) -> None:
        """The service serves, or has reloaded its configuration."""
        self._say(f"READY=1\nMAINPID={os.getpid()}\nSTATUS={_line(status)}")

    def status(self, text: str) -> None:
        """Say in a few words what goes on."""
        self._say(f"STATUS={_line(text)}")

    def extend_start(self, seconds: float) -> None:
        """Ask for more time to start (EXTEND_TIMEOUT_USEC)."""
        self._say(f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}")

    def reloading(self) -> None:
        """The service begins to reload its configuration; READY=1 ends it."""
        self._say(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        """The service begins to stop."""
        self._say("STOPPING=1\nSTATUS=Stopping")

    def watchdog(self) -> None:
        """The service is alive."""
        self._say("WATCHDOG=1")

    def failed(self, text: str, code: str) -> None:
        """Say why the service ends."""
        self._say(f"STATUS={_line(text)}\nBUSERROR=org.ocg.{code}")

    def keep(self, listener: socket.socket, name: str) -> None:
        """Have the manager keep a listening socket over a restart (FDSTORE=1); it comes back as an inherited one."""
        self._send(f"FDSTORE=1\nFDNAME={name}", listener)

    def forget(self, name: str) -> None:
        """Have the manager close what it keeps under a name."""
        self._say(f"FDSTOREREMOVE=1\nFDNAME={name}")

    def _send(self, text: str, listener: socket.socket) -> None:
        address = os.environ.get("NOTIFY_SOCKET")
        if not address:
            return
        path = f"\0{address[1:]}" if address.startswith("@") else address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender, suppress(OSError):  # as sdnotify: best effort
            sender.connect(path)
            socket.send_fds(sender, [text.encode()], [listener.fileno()])


def watchdog_s() -> float | None:
    """How long we may be silent (WatchdogSec=), or None when nobody watches us (sd_watchdog_enabled(3))."""
    usec = os.environ.get("WATCHDOG_USEC", "")
    pid = os.environ.get("WATCHDOG_PID", str(os.getpid()))
    if not usec.isdecimal() or int(usec) == 0 or pid != str(os.getpid()):
        return None
    return int(usec) / 1e6


def _line(text: str) -> str:
    return " ".join(text.split())
