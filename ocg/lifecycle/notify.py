"""systemd's notification protocol (sd_notify(3)), spoken by sdnotify to whoever started us, or to nobody."""

import os

import sdnotify


class Notifier:
    """Says what becomes of the service over $NOTIFY_SOCKET; without one it says nothing."""

    def __init__(self) -> None:
        self._notifier = sdnotify.SystemdNotifier()

    def _say(self, text: str) -> None:
        # sdnotify encodes as Latin-1 and silently drops what does not fit; this makes the bytes UTF-8 after all.
        self._notifier.notify(text.encode("utf-8", "replace").decode("latin-1"))

    def ready(self, status: str) -> None:
        """The service serves."""
        self._say(f"READY=1\nMAINPID={os.getpid()}\nSTATUS={_line(status)}")

    def status(self, text: str) -> None:
        """Say in a few words what goes on."""
        self._say(f"STATUS={_line(text)}")

    def extend_start(self, seconds: float) -> None:
        """Ask for more time to start (EXTEND_TIMEOUT_USEC)."""
        self._say(f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}")

    def stopping(self) -> None:
        """The service begins to stop."""
        self._say("STOPPING=1\nSTATUS=Stopping")

    def watchdog(self) -> None:
        """The service is alive."""
        self._say("WATCHDOG=1")

    def failed(self, text: str, code: str) -> None:
        """Say why the service ends."""
        self._say(f"STATUS={_line(text)}\nBUSERROR=org.ocg.{code}")


def watchdog_interval_s() -> float | None:
    """How often to ping: half of WatchdogSec=, or None when nobody watches us (sd_watchdog_enabled(3))."""
    usec = os.environ.get("WATCHDOG_USEC", "")
    pid = os.environ.get("WATCHDOG_PID", str(os.getpid()))
    if not usec.isdecimal() or int(usec) == 0 or pid != str(os.getpid()):
        return None
    return int(usec) / 2e6


def _line(text: str) -> str:
    return " ".join(text.split())
