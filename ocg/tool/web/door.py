"""The only way out of the browser: a SOCKS server (RFC 1928) that opens connections to what may be reached.

Whatever a page asks for comes by here, with its name unresolved: frames, redirects, workers and WebSockets too.
"""

import select
import socket
import socketserver
import struct

from ocg.errors import OcgError
from ocg.tool.web.reach import Reach, connected

_VERSION, _CONNECT = 5, 1
_DONE, _REFUSED, _UNREACHED, _UNKNOWN = 0, 2, 4, 7
_IPV4 = 1
_SILENCE_S = 20.0
_PIECE = 1 << 16
_KEPT = 5
_IDLE_S = 300.0


class Door(socketserver.ThreadingTCPServer):
    """Listens for the browser. `refused` says why the last connections were not made."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, reach: Reach) -> None:
        super().__init__(("127.0.0.1", 0), _Passing)
        self.reach = reach
        self.refused: list[str] = []

    @property
    def url(self) -> str:
        """Where it is, as Chromium takes it."""
        return f"socks5://127.0.0.1:{self.server_address[1]}"

    def open(self, host: str, port: int) -> socket.socket:
        """Connect. Raises OcgError, and OSError."""
        try:
            return connected(self.reach.find(host, port), _SILENCE_S)
        except OcgError as error:
            self.refused = [*self.refused, error.message][-_KEPT:]
            raise

    def handle_error(self, request: object, client_address: object) -> None:
        """A side that goes away in the middle is how connections end."""


class _Passing(socketserver.BaseRequestHandler):
    server: Door
    request: socket.socket

    def handle(self) -> None:
        self.request.settimeout(_SILENCE_S)
        _, methods = self._take(2)
        self._take(methods)
        self.request.sendall(bytes((_VERSION, 0)))
        _, command, _, kind = self._take(4)
        host = self._host(kind)
        (port,) = struct.unpack("!H", self._take(2))
        if command != _CONNECT or not host:
            self._answer(_UNKNOWN)
            return
        try:
            there = self.server.open(host, port)
        except OcgError:
            self._answer(_REFUSED)
        except OSError:
            self._answer(_UNREACHED)
        else:
            with there:
                self._answer(_DONE)
                _relay(self.request, there)

    def _host(self, kind: int) -> str:
        match kind:
            case 1:
                return socket.inet_ntop(socket.AF_INET, self._take(4))
            case 3:
                return self._take(self._take(1)[0]).decode("ascii", "replace")
            case 4:
                return socket.inet_ntop(socket.AF_INET6, self._take(16))
        return ""

    def _take(self, size: int) -> bytes:
        found = b""
        while len(found) < size:
            piece = self.request.recv(size - len(found))
            if not piece:
                raise ConnectionError("the browser went away")
            found += piece
        return found

    def _answer(self, code: int) -> None:
        self.request.sendall(bytes((_VERSION, code, 0, _IPV4)) + bytes(6))


def _relay(one: socket.socket, other: socket.socket) -> None:
    """Pass on what comes from either side, until one ends or says nothing more for a long time."""
    one.settimeout(None)
    other.settimeout(None)
    while ready := select.select((one, other), (), (), _IDLE_S)[0]:
        for side in ready:
            piece = side.recv(_PIECE)
            if not piece:
                return
            (other if side is one else one).sendall(piece)
