"""The tool's end of its connection to the agent."""

from _socket import socket  # without what the module socket imports

from ocg.protocol import frames

_END_S = 5.0


class Connection:
    """Sends and receives whole frames. The agent may go at any time: then there is nothing left to do here."""

    def __init__(self, sock: socket) -> None:
        self.sock = sock

    def send(self, kind: bytes, data: bytes = b"") -> None:
        """Send data as frames, the last of which is shorter than the longest; exit when nobody is there to take it."""
        try:
            for at in range(0, len(data) + 1, frames.MAX_BYTES):
                self.sock.sendall(frames.frame(kind, data[at : at + frames.MAX_BYTES]))
        except OSError:
            raise SystemExit(1) from None

    def receive(self) -> tuple[bytes, bytes]:
        """Wait for a frame; exit when none comes any more."""
        kind, size = frames.HEADER.unpack(self._exactly(frames.HEADER.size))
        if size > frames.MAX_BYTES:
            raise SystemExit(1)
        return kind, self._exactly(size)

    def request(self) -> bytes:
        """Wait for what is asked: frames that make one request, the last of which is shorter than the longest."""
        whole = b""
        while True:
            kind, data = self.receive()
            if kind != frames.REQUEST:
                raise SystemExit(1)
            whole += data
            if len(data) < frames.MAX_BYTES:
                return whole

    def await_end(self) -> None:
        """Wait until the agent has taken what was sent: if what it still sends were refused, it would read no more."""
        self.sock.settimeout(_END_S)
        try:
            while self.sock.recv(frames.MAX_BYTES):
                pass
        except OSError:
            return

    def _exactly(self, size: int) -> bytes:
        found = b""
        while len(found) < size:
            try:
                part = self.sock.recv(size - len(found))
            except OSError:
                part = b""
            if not part:
                raise SystemExit(1)
            found += part
        return found
