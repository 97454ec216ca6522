"""systemd over D-Bus by pystemd: calls, and the signals that tell what becomes of units and jobs.

pystemd's `dbuslib` is all that is needed; its objects by introspection would bring lxml and a call a unit.
"""

import os
import select
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from ocg.errors import Code, OcgError
from ocg.imports import without_running
from ocg.managers.places import runtime_dir

_SYSTEMD = b"org.freedesktop.systemd1"
_PATH = b"/org/freedesktop/systemd1"
_MANAGER = b"org.freedesktop.systemd1.Manager"
_PROPERTIES = b"org.freedesktop.DBus.Properties"
_LISTED = ("LoadState", "ActiveState", "SubState")
_SERVICE = {"MainPID": b"u", "StatusText": b"s", "Result": b"s", "ExecMainCode": b"i", "ExecMainStatus": b"i"}


@dataclass(frozen=True, slots=True)
class UnitChanged:
    """Properties of a unit by name, those that changed or those that were asked for; the others are as they were."""

    path: str
    properties: dict[str, Any]


@dataclass(frozen=True, slots=True)
class JobRemoved:
    """A job that is over: `result` is done, canceled, timeout, failed, dependency, skipped … (systemd's D-Bus API)."""

    path: str
    unit: str
    result: str


Signal = UnitChanged | JobRemoved


class Bus:
    """A connection to the system's bus or to the user's. Entering raises UNAVAILABLE when there is none."""

    def __init__(self, *, user: bool) -> None:
        self._user = user
        self._bus: Any = None
        self._signals: deque[Signal] = deque()
        self._callbacks: list[Callable[..., None]] = []

    def __enter__(self) -> Self:
        without_running("pystemd")
        from pystemd.dbusexc import DBusBaseError  # noqa: PLC0415 - 25 ms, where a systemd is asked

        failed: Any = None
        for connection in _connections(user=self._user):
            try:
                connection.open()
            except DBusBaseError as error:
                failed = error
            else:
                self._bus = connection
                return self
        whose = "user" if self._user else "system"
        hint = "see `systemctl --user status`" if self._user else "see `systemctl status dbus`"
        raise OcgError(Code.UNAVAILABLE, f"no connection to the {whose}'s bus: {_said(failed)}", hint)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bus.close()

    def call(self, method: str, signature: str = "", *values: Any) -> Any:
        """Call a method of systemd's manager. Raises FORBIDDEN when polkit says no, and what `_explained` makes."""
        from pystemd.dbuslib import apply_signature  # noqa: PLC0415 - as above

        args = apply_signature(signature.encode(), [_encoded(value) for value in values]) if signature else []
        with _translated(method, str(values[0]) if values else "systemd"):
            return _decoded(self._bus.call_method(_SYSTEMD, _PATH, _MANAGER, method.encode(), args).body)

    def units(self, names: Sequence[str]) -> dict[str, UnitChanged]:
        """Return units by name, each with its LoadState, ActiveState and SubState; all are loaded for it."""
        rows = self.call("ListUnitsByNames", "as", names)
        return {row[0]: UnitChanged(row[6], dict(zip(_LISTED, row[2:5], strict=True))) for row in rows}

    def service(self, path: str) -> dict[str, Any]:
        """Return what a service's unit says of its process, by property. All properties at once would take 8 ms."""
        interface = b"org.freedesktop.systemd1.Service"
        with _translated("look at", path):
            found = {
                name: self._bus.get_property(_SYSTEMD, path.encode(), interface, name.encode(), signature)
                for name, signature in _SERVICE.items()
            }
        return {name: _decoded(value) for name, value in found.items()}

    def get(self, unit: str, name: str, *, interface: str = "Unit", signature: str = "s") -> Any:
        """Return one property of a unit, which is loaded for it; `signature` is its type on the bus.

        Raises NOT_FOUND when there is none.
        """
        from pystemd.dbuslib import path_encode  # noqa: PLC0415 - as above

        path, whole = path_encode(_PATH + b"/unit", unit.encode()), f"{_SYSTEMD.decode()}.{interface}".encode()
        with _translated("look at", unit):
            return _decoded(self._bus.get_property(_SYSTEMD, path, whole, name.encode(), signature.encode()))

    def subscribe(self) -> None:
        """Collect signals from now on: before a job is queued, or a quick one is missed."""
        with _translated("listen to", "systemd"):
            self._match(_PATH, _MANAGER, b"JobRemoved", _job_removed)
            self._match(None, _PROPERTIES, b"PropertiesChanged", _unit_changed)
        self.call("Subscribe")

    def _match(self, path: bytes | None, interface: bytes, member: bytes, read: Callable[[Any], Signal]) -> None:
        def received(message: Any, error: object = None, userdata: object = None) -> None:  # noqa: ARG001 - pystemd's
            message.process_reply(True)
            self._signals.append(read(message))

        self._callbacks.append(received)  # pystemd holds its address, and no reference
        self._bus.match_signal(_SYSTEMD, path, interface, member, received)

    def wait(self, deadline: float) -> Signal | None:
        """Return the next signal; None when there is none by `deadline` (time.monotonic).

        Raises UNAVAILABLE when the connection breaks off.
        """
        poll = select.poll()
        poll.register(self._bus.get_fd(), select.POLLIN)
        with _translated("listen to", "systemd"):
            while not self._signals:
                if self._has_read():
                    continue
                left = deadline - time.monotonic()
                if left <= 0 or not poll.poll(left * 1000):
                    return None
        return self._signals.popleft()

    def _has_read(self) -> bool:
        """Read what has arrived; whether there was anything.

        What the library answers itself comes out empty, though more may be in its queue, where poll(2) sees nothing:
        only a second time does empty mean that there is nothing.
        """
        return any(not self._bus.process().is_empty() or bool(self._signals) for _ in range(2))


def lingers(user_id: int) -> bool:
    """Whether a user's manager lasts over logins. logind knows those who are logged in and those who linger."""
    without_running("pystemd")
    from pystemd.dbusexc import DBusBaseError  # noqa: PLC0415 - as above
    from pystemd.dbuslib import DBus, apply_signature  # noqa: PLC0415 - as above

    logind, args = b"org.freedesktop.login1", apply_signature(b"u", [user_id])
    try:
        with DBus() as bus:
            path = bus.call_method(logind, b"/org/freedesktop/login1", logind + b".Manager", b"GetUser", args).body
            return bool(bus.get_property(logind, path, logind + b".User", b"Linger", b"b"))
    except DBusBaseError:
        return False


def _connections(*, user: bool) -> Iterator[Any]:
    """Give the ways to a systemd, the shortest first, as systemctl goes.

    Its own socket takes a tenth of the bus's time, and needs no daemon: Debian has none for users unless asked.
    """
    from pystemd.dbuslib import DBus, DBusAddress  # noqa: PLC0415 - as above

    # By path: a login by su or cron has no variable that names it, though the user's manager may well run.
    if user:
        yield DBusAddress(f"unix:path={runtime_dir()}/systemd/private".encode(), peer_to_peer=True)
        yield DBusAddress(f"unix:path={runtime_dir()}/bus".encode())
        return
    if os.geteuid() == 0 and "DBUS_SYSTEM_BUS_ADDRESS" not in os.environ:
        yield DBusAddress(b"unix:path=/run/systemd/private", peer_to_peer=True)
    yield DBus()


def _job_removed(message: Any) -> JobRemoved:
    _, path, unit, result = _decoded(message.body)
    return JobRemoved(path, unit, result)


def _unit_changed(message: Any) -> UnitChanged:
    _, properties, _ = _decoded(message.body)
    return UnitChanged(message.headers["Path"].decode(), properties)


def _encoded(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode()
    return [_encoded(one) for one in value] if isinstance(value, list | tuple) else value


def _decoded(value: Any) -> Any:
    """Turn all the bytes in a D-Bus value into text."""
    match value:
        case bytes():
            return value.decode("utf-8", "replace")
        case dict():
            return {_decoded(key): _decoded(one) for key, one in value.items()}
        case list() | tuple():
            return [_decoded(one) for one in value]
    return value


@contextmanager
def _translated(method: str, subject: str) -> Iterator[None]:
    """Turn what the bus answers into our error."""
    from pystemd.dbusexc import DBusBaseError  # noqa: PLC0415 - as above

    try:
        yield
    except DBusBaseError as error:
        raise _explained(error, method, subject) from None


def _said(error: Any) -> str:
    """Return what the bus said of an error, else what the kernel calls it."""
    text = error.err_message
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else os.strerror(abs(error.errno))


def _explained(error: Any, method: str, unit: str) -> OcgError:
    """Say what went wrong and what helps. Mapped exception classes have no error name, so classes come first."""
    name = error.err_name.decode() if isinstance(error.err_name, bytes) else str(error.err_name)
    match type(error).__name__:
        case "DBusAccessDeniedError" | "DBusInteractiveAuthorizationRequiredError" | "DBusAuthFailedError":
            verb = method.removesuffix("Unit").lower()
            return OcgError(
                Code.FORBIDDEN,
                f"you may not {verb} {unit}: polkit says no",
                "use sudo, or join the group that may, and log in again: sudo usermod -aG ocg $USER",
            )
        case "DBusNoSuchUnitError":
            return OcgError(Code.NOT_FOUND, f"systemd knows no {unit}", "ocg service install")
        case "DBusFileNotFoundError":
            return OcgError(Code.NOT_FOUND, f"{unit} is not installed", "ocg service install")
        case "DBusDisconnectedError" | "DBusNoReplyError" | "DBusTimedOutError" | "DBusTimeoutError":
            return OcgError(Code.UNAVAILABLE, f"systemd does not answer: {_said(error)}", "see `systemctl status`")
    if name.endswith("UnitMasked"):
        return OcgError(Code.FORBIDDEN, f"{unit} is masked", f"systemctl unmask {unit}")
    return OcgError(Code.UNAVAILABLE, f"{method} {unit}: {_said(error)}", f"see `systemctl status {unit}`")
