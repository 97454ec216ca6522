"""The browser's way out: what a SOCKS client may say to it, and where it leads."""

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator

import pytest

from ocg.tool.web.door import Door
from ocg.tool.web.reach import Reach
from tests.website import page, site

_HELLO = b"\5\1\0"


@pytest.fixture
def door() -> Iterator[Door]:
    """A door that leads to 127.0.0.1 alone."""
    with Door(Reach(("127.0.0.1",))) as found:
        thread = threading.Thread(target=found.serve_forever, args=(0.02,))
        thread.start()
        yield found
        found.shutdown()
        thread.join()


@contextlib.contextmanager
def client(door: Door, said: bytes = _HELLO) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", door.server_address[1]), 30) as sock:
        sock.sendall(said)
        yield sock
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(4096):  # so that its thread has ended
            pass


def name(host: str, port: int) -> bytes:
    return b"\5\1\0\3" + bytes([len(host)]) + host.encode() + struct.pack("!H", port)


def test_it_leads_to_what_may_be_reached(door: Door) -> None:
    with site({"/": page("here")}) as server, client(door, _HELLO + name("127.0.0.1", server.port)) as sock:
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        said = b""
        while piece := sock.recv(4096):
            said += piece
        assert said.startswith(b"\5\0" + b"\5\0\0\1" + bytes(6) + b"HTTP/1.0 200")
        assert said.endswith(b"here")
    assert door.refused == []


@pytest.mark.parametrize(
    "request_bytes",
    [
        name("127.0.0.2", 80),
        name("::ffff:127.0.0.2", 80),
        b"\5\1\0\1" + bytes((10, 0, 0, 1)) + b"\0P",
        b"\5\1\0\4" + socket.inet_pton(socket.AF_INET6, "fd00::1") + b"\0P",
    ],
)
def test_it_leads_nowhere_else_and_says_why(door: Door, request_bytes: bytes) -> None:
    with client(door, _HELLO + request_bytes) as sock:
        assert sock.recv(2) == b"\5\0"
        assert sock.recv(2) == b"\5\2"
    assert "is not a public address" in door.refused[0]


def test_what_does_not_answer_is_not_said_to_be_refused(door: Door, free_port: int) -> None:
    with client(door, _HELLO + name("127.0.0.1", free_port)) as sock:
        assert sock.recv(2) == b"\5\0"
        assert sock.recv(2) == b"\5\4"
    assert door.refused == []


@pytest.mark.parametrize(
    "said", [b"", b"\5", b"GET / HTTP/1.1\r\n\r\n", _HELLO + b"\5\2\0\1", _HELLO + b"\5\1\0\x09\0\0"]
)
def test_what_is_no_request_ends_the_connection_alone(door: Door, said: bytes) -> None:
    with client(door, said):
        pass
    with client(door) as sock:
        assert sock.recv(2) == b"\5\0"
