"""A listener that counts who is inside: no crowd fills our memory, and nobody alone keeps all others out.

It counts at accept(2), so that a TLS handshake that never ends and a WebSocket count like any other connection.
"""

import errno
import logging
import os
import resource
import socket
import time
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from ocg.errors import Code, OcgError
from ocg.lifecycle.answers import error_response
from ocg.lifecycle.guests import Guests

_DESCRIPTORS = 16384
_WARN_EVERY_S = 60.0
# What accept(2) fails with where there is room for nobody.
_NO_ROOM = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

_log = logging.getLogger(__name__)


def allow_descriptors() -> None:
    """Raise the soft limit of descriptors: 1024 is for programs that call select(2) (systemd.exec(5), LimitNOFILE=)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)  # neither is ever infinite: fs.nr_open bounds them
    if soft < (wanted := min(_DESCRIPTORS, hard)):
        with suppress(OSError, ValueError):  # a cage of somebody else's may forbid it
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class Door(socket.socket):
    """A listener, taken over from the socket given. Who comes when it is full hears 503, or nothing where TLS is on."""

    def __init__(self, listener: socket.socket, guests: Guests, *, is_tls: bool = False) -> None:
        super().__init__(listener.family, listener.type, listener.proto, fileno=listener.detach())
        self._guests = guests
        self._refusal = b"" if is_tls else _refusal()
        self._warned_s = -_WARN_EVERY_S
        self._spare = _spare()

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept a connection. Raises ConnectionAbortedError, asyncio's word for none, when there is no room for it."""
        try:
            connection, address = super().accept()
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            self._refuse_one()
            raise ConnectionAbortedError("no descriptors are left") from None
        guest = self._guests.admit(connection, address)
        if guest is None:
            self._turn_away(connection, _host(address))
            raise ConnectionAbortedError("too many connections")
        return guest, address

    def close(self) -> None:
        """Close."""
        super().close()
        if self._spare is not None:
            os.close(self._spare)
            self._spare = None

    def _refuse_one(self) -> None:
        """Turn one away by the spare descriptor, where no other is left: left alone, he would be there again at once.

        asyncio would try two thousand times in a row, and log a traceback each time.
        """
        if self._spare is not None:
            os.close(self._spare)
        with suppress(OSError):
            connection, address = super().accept()
            self._turn_away(connection, _host(address))
        self._spare = _spare()

    def _turn_away(self, connection: socket.socket, host: str) -> None:
        with connection, suppress(OSError):
            connection.setblocking(False)
            connection.send(self._refusal)
            connection.recv(65536)  # closing with a request unread would reset the connection, and our answer with it
        if time.monotonic() - self._warned_s >= _WARN_EVERY_S:
            self._warned_s = time.monotonic()
            _log.warning("connections are turned away, this one from %s: %d are open", host or "?", len(self._guests))


def _host(address: Any) -> str:
    """Return the host of an address; nothing for a Unix socket's."""
    return str(address[0]) if isinstance(address, tuple) else ""


def _spare() -> int | None:
    """Keep a descriptor for when there are no more; None where it is so already."""
    with suppress(OSError):
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    return None


def _refusal() -> bytes:
    error = OcgError(Code.UNAVAILABLE, "too many connections are open", "close some, or try again in a moment")
    response = error_response(error)
    status = HTTPStatus(response.status_code)
    lines = [f"HTTP/1.1 {status.value} {status.phrase}".encode(), b"connection: close"]
    lines += [b"%s: %s" % header for header in response.raw_headers]
    return b"\r\n".join([*lines, b"", bytes(response.body)])
