"""What systemd and logind say of themselves, asked over D-Bus; everybody may ask."""

import os
from types import TracebackType
from typing import Any, Self

from ocg.errors import Code, OcgError

_SYSTEMD = b"org.freedesktop.systemd1"
_LOGIND = b"org.freedesktop.login1"
_UNIT = "Unit"
_HINT = "does systemd run here? see `systemctl status`"


class Properties:
    """A connection to the system's bus or to the user's. Entering raises UNAVAILABLE when there is none."""

    def __init__(self, *, user: bool) -> None:
        from pystemd.dbuslib import DBus, DBusAddress  # noqa: PLC0415 - 60 ms

        # By its path: a login by su or cron has no variable that names it, though the user's manager may well run.
        runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
        self._bus = DBusAddress(f"unix:path={runtime}/bus".encode()) if user else DBus()
        self._name = "the user's bus" if user else "the system's bus"

    def __enter__(self) -> Self:
        from pystemd.dbusexc import DBusBaseError  # noqa: PLC0415 - as above

        try:
            self._bus.open()
        except DBusBaseError as error:
            raise OcgError(Code.UNAVAILABLE, f"no connection to {self._name}: {_said(error)}", _HINT) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bus.close()

    def text(self, unit: str, name: str, *, interface: str = _UNIT) -> str:
        """Return a property that is a text."""
        found: bytes = self._property(unit, interface, name, b"s")
        return found.decode("utf-8", "replace")

    def number(self, unit: str, name: str, *, interface: str, signature: str = "i") -> int:
        """Return a property that is a number; `signature` is its type on the bus."""
        return int(self._property(unit, interface, name, signature.encode()))

    def texts(self, unit: str, name: str, *, interface: str = _UNIT) -> tuple[str, ...]:
        """Return a property that is a list of texts."""
        return tuple(one.decode("utf-8", "replace") for one in self._property(unit, interface, name, b"as"))

    def file_state(self, unit: str) -> str:
        """Return `enabled`, `disabled`, `static`, `masked` …; raises NOT_FOUND when systemd knows no such file."""
        args = [(ord("s"), unit.encode())]
        found: bytes = self._call(_SYSTEMD, b"/org/freedesktop/systemd1", b"Manager", b"GetUnitFileState", args)
        return found.decode()

    def lingers(self, user_id: int) -> bool:
        """Whether a user's manager lasts over logins; asked of the system's bus."""
        args = [(ord("u"), user_id)]
        try:
            path: bytes = self._call(_LOGIND, b"/org/freedesktop/login1", b"Manager", b"GetUser", args)
        except OcgError:
            return False  # logind knows those who are logged in and those who linger, no others
        return bool(self._get(_LOGIND, path, b"User", b"Linger", b"b"))

    def _property(self, unit: str, interface: str, name: str, signature: bytes) -> Any:
        from pystemd.dbuslib import path_encode  # noqa: PLC0415 - as above

        path = path_encode(b"/org/freedesktop/systemd1/unit", unit.encode())
        return self._get(_SYSTEMD, path, interface.encode(), name.encode(), signature)

    def _get(self, destination: bytes, path: bytes, interface: bytes, name: bytes, signature: bytes) -> Any:
        from pystemd.dbusexc import DBusBaseError  # noqa: PLC0415 - as above

        try:
            return self._bus.get_property(destination, path, destination + b"." + interface, name, signature)
        except DBusBaseError as error:
            raise OcgError(Code.NOT_FOUND, f"{name.decode()}: {_said(error)}", _HINT) from None

    def _call(self, destination: bytes, path: bytes, interface: bytes, method: bytes, args: list[Any]) -> Any:
        from pystemd.dbusexc import DBusBaseError  # noqa: PLC0415 - as above

        try:
            return self._bus.call_method(destination, path, destination + b"." + interface, method, args).body
        except DBusBaseError as error:
            raise OcgError(Code.NOT_FOUND, f"{method.decode()}: {_said(error)}", _HINT) from None


def _said(error: Any) -> str:
    """Return what the bus said of an error, else what the kernel calls it."""
    text = error.err_message
    return os.strerror(abs(error.errno)) if not isinstance(text, bytes) else text.decode("utf-8", "replace")
