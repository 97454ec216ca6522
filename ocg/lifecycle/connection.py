"""uvicorn's HTTP connection with an end to its patience: a request's head is bounded in size and in time.

Neither uvicorn nor llhttp bounds them, so that anyone who can connect, token or not, could fill our memory with one
endless header, or our descriptors with connections that never say a word.

And it stops politely: who has just connected, or has just asked, is still answered.
"""

import array
import asyncio
import fcntl
import socket
import struct
import termios

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from ocg.errors import Code, OcgError
from ocg.protocol import wire

# Breaks the connection off, in an ASGI scope: the only way to say that an answer which has begun has no end.
BREAK = "ocg.break"
_HEAD_BYTES = 64 << 10
_HEAD_S = 20.0
_PIECE_BYTES = 16 << 10
# Who takes less than so much in so long of what waits for it is gone, or holds our memory on purpose.
_TAKEN_BYTES = 4 << 10
_LOOK_S = 20.0
# How long a stop waits for the first request of who has connected and not asked yet.
_GRACE_S = 0.25
_JSON_400 = (
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b"
)
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class _Taking(asyncio.Protocol):
    """Hangs up on who takes hardly anything of what waits for it: no answer's memory is held for good."""

    transport: asyncio.Transport
    _look_timer: asyncio.TimerHandle | None = None
    _waiting_bytes = 0

    def pause_writing(self) -> None:
        """Watch the client: more waits than the kernel takes."""
        super().pause_writing()
        self._watch()

    def resume_writing(self) -> None:
        """Look away again."""
        self._look_away()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._look_away()
        super().connection_lost(exc)

    def _watch(self) -> None:
        self._waiting_bytes = self.transport.get_write_buffer_size()
        self._look_timer = asyncio.get_running_loop().call_later(_LOOK_S, self._look)

    def _look(self) -> None:
        if self._waiting_bytes - self.transport.get_write_buffer_size() < _TAKEN_BYTES:
            # Or the kernel would go on with what it has, for as long as the peer likes (socket(7), SO_LINGER).
            sock = self.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.transport.abort()
        else:
            self._watch()

    def _look_away(self) -> None:
        if self._look_timer is not None:
            self._look_timer.cancel()
            self._look_timer = None


class Socket(_Taking, WebSocketsSansIOProtocol):
    """A WebSocket."""


class Connection(_Taking, HttpToolsProtocol):
    """One connection. The head's time begins when the connection is made, and with a further request's first byte."""

    _in_head = False
    _head_bytes = 0
    _head_timer: asyncio.TimerHandle | None = None
    _end_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's
        """Begin."""
        super().connection_made(transport)
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._disarm()
        if self._end_timer is not None:
            self._end_timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what comes, in pieces so small that no head outgrows its bound unseen."""
        for start in range(0, len(data), _PIECE_BYTES):
            if self.transport.is_closing() or self.transport.get_protocol() is not self:  # it became a WebSocket's
                return
            self._take(data[start : start + _PIECE_BYTES])

    def _take(self, data: bytes) -> None:
        was_in_head = self._in_head
        super().data_received(data)
        if self._has_answered():
            self._arm()
        if not self._in_head:
            return
        self._arm()
        self._head_bytes += len(data) if was_in_head else 0  # a head may begin in the middle of a chunk
        if self._head_bytes > _HEAD_BYTES and not self.transport.is_closing():
            self.transport.write(_TOO_LARGE)
            self.transport.close()

    def on_message_begin(self) -> None:
        """A head begins."""
        self._in_head, self._head_bytes = True, 0
        super().on_message_begin()
        self.scope["extensions"] = {BREAK: {"now": self.transport.abort}}

    def on_headers_complete(self) -> None:
        """A head is whole."""
        self._in_head = False
        self._disarm()
        super().on_headers_complete()
        if self._end_timer is not None:
            self._end_timer.cancel()
            super().shutdown()

    def on_response_complete(self) -> None:
        """An answer is whole, if not what it answers: the rest has as long to come as a head."""
        super().on_response_complete()
        if self._has_answered() and self.cycle.more_body:
            self._arm()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP in the one shape of an error; uvicorn's own answer is plain text."""
        body = wire.error_body(OcgError(Code.INVALID_REQUEST, msg, "send HTTP/1.1"))
        self.transport.write(_JSON_400 % (len(body), body))
        self.transport.close()

    def shutdown(self) -> None:
        """Close after the answer to what was asked; at once when nothing was and nothing is on its way."""
        has_asked = bool(self.cycle)  # uvicorn's own type has forgotten that there may be none yet
        if not has_asked or self._in_head or self._has_unread():
            self._end_timer = asyncio.get_running_loop().call_later(_GRACE_S, self.transport.close)
        else:
            super().shutdown()

    def _has_unread(self) -> bool:
        """Whether the kernel holds bytes of a request that we have not seen; closing now would reset it (tcp(7))."""
        count = array.array("i", [0])
        fcntl.ioctl(self.transport.get_extra_info("socket").fileno(), termios.FIONREAD, count)
        return count[0] > 0

    def _has_answered(self) -> bool:
        """Whether all is answered: uvicorn waits for as long as it takes then, once a single byte has come."""
        return bool(self.cycle) and self.cycle.response_complete and not self.transport.is_closing()

    def _arm(self) -> None:
        if self._head_timer is None:
            self._head_timer = asyncio.get_running_loop().call_later(_HEAD_S, self._expired)

    def _disarm(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _expired(self) -> None:
        self.transport.abort()
