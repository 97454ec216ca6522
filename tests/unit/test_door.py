"""The door: so many at once and no more, nobody alone has all of it, and who leaves makes room."""

import asyncio
import os
import resource
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from ocg.lifecycle import answers, door, sockets
from ocg.lifecycle.door import Door, Room
from ocg.lifecycle.server import Server

_REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


async def _hello(_: Request) -> PlainTextResponse:
    return PlainTextResponse("hello")


@asynccontextmanager
async def _serving(room: Room, *, host: str = "127.0.0.1", is_tls: bool = False) -> AsyncIterator[int]:
    listener = Door(sockets.listen_tcp(host, [0], key="X"), room, is_tls=is_tls)
    server = Server(answers.create_app([Route("/", _hello)]))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    await server.listening.wait()
    try:
        yield listener.getsockname()[1]
    finally:
        await server.drop()
        await serving


class _Visit:
    """A connection that asks and stays."""

    def __init__(self, port: int, address: str = "127.0.0.1", host: str = "127.0.0.1") -> None:
        self._place = host, port
        self._from = (address, 0)

    async def __aenter__(self) -> bytes:
        reader, self._writer = await asyncio.open_connection(*self._place, local_addr=self._from)
        self._writer.write(_REQUEST)
        try:
            return await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 3)
        except (asyncio.IncompleteReadError, ConnectionError):
            return b""

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()


async def test_who_comes_when_it_is_full_hears_503_and_who_leaves_makes_room() -> None:
    async with _serving(Room(3, 3)) as port, AsyncExitStack() as inside:
        for _ in range(3):
            assert b" 200 " in await inside.enter_async_context(_Visit(port))
        for _ in range(3):
            async with _Visit(port) as answer:
                assert answer.startswith(b"HTTP/1.1 503 ")
                assert b"retry-after: 1" in answer
                assert b"connection: close" in answer
        await inside.aclose()
        await _until_let_in(lambda: _Visit(port))


async def _until_let_in(visit: Callable[[], _Visit]) -> None:
    """A connection that its client has closed is inside until the server hears of it."""
    async with asyncio.timeout(3):
        while True:
            async with visit() as answer:
                if b" 200 " in answer:
                    return


async def test_one_address_cannot_keep_all_others_out() -> None:
    async with _serving(Room(4, 3)) as port, AsyncExitStack() as inside:
        for _ in range(3):
            await inside.enter_async_context(_Visit(port, "127.0.0.2"))
        async with _Visit(port, "127.0.0.2") as refused, _Visit(port, "127.0.0.3") as other:
            assert b" 503 " in refused
            assert b" 200 " in other


async def test_a_proxy_may_have_all_of_it() -> None:
    limits = Room(4, 1, lambda host: host == "127.0.0.9")
    async with _serving(limits) as port, AsyncExitStack() as inside:
        for _ in range(4):
            assert b" 200 " in await inside.enter_async_context(_Visit(port, "127.0.0.9"))
        async with _Visit(port, "127.0.0.9") as refused:
            assert b" 503 " in refused


async def test_where_tls_is_on_nothing_is_said_in_the_clear() -> None:
    async with _serving(Room(0, 0), is_tls=True) as port, _Visit(port) as answer:
        assert answer == b""


async def test_ipv6_is_counted_like_ipv4() -> None:
    async with _serving(Room(8, 1), host="::1") as port, _Visit(port, "::1", "::1") as first:
        assert b" 200 " in first
        async with _Visit(port, "::1", "::1") as second:
            assert b" 503 " in second


async def test_a_connection_that_never_speaks_counts_too() -> None:
    async with _serving(Room(1, 1)) as port:
        with socket.create_connection(("127.0.0.1", port)):
            await asyncio.sleep(0.05)
            async with _Visit(port) as answer:
                assert b" 503 " in answer


async def test_the_log_tells_of_it_once_and_not_for_each(caplog: pytest.LogCaptureFixture) -> None:
    async with _serving(Room(0, 0)) as port:
        for _ in range(5):
            async with _Visit(port):
                pass
    assert caplog.text.count("turned away, this one from 127.0.0.1") == 1


async def test_without_a_descriptor_left_who_comes_is_turned_away_in_few_words(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with _serving(Room(1000, 1000)) as port, AsyncExitStack() as inside:
        clients = [inside.enter_context(socket.socket()) for _ in range(50)]
        with _descriptors_used_up():
            for client in clients:
                client.connect(("127.0.0.1", port))
                client.setblocking(False)
            for client in clients:
                answer = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(client, 4096), 3)
                assert answer.startswith(b"HTTP/1.1 503 ")
        async with _Visit(port) as answer:
            assert b" 200 " in answer
    assert len(caplog.records) == 1


@contextmanager
def _descriptors_used_up() -> Iterator[None]:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(
        resource.RLIMIT_NOFILE, (max(int(one.name) for one in Path("/proc/self/fd").iterdir()) + 8, limits[1])
    )
    with ExitStack() as taken:
        try:
            with suppress(OSError):
                while True:
                    taken.enter_context(open(os.devnull))
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_the_limits_leave_descriptors_for_all_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda _: (1024, 1024))
    found = Room.fitting(lambda _: False)
    assert found.total * 2 <= 1024 - 100
    assert found.each < found.total
    monkeypatch.setattr("resource.getrlimit", lambda _: (1 << 20, 1 << 20))
    assert Room.fitting(lambda _: False).total == 4096


def test_with_ipv6_a_whole_network_is_one_neighbour() -> None:
    assert door._neighbourhood("2001:db8:1:2::3") == door._neighbourhood("2001:db8:1:2:ffff::4")
    assert door._neighbourhood("2001:db8:1:2::3") != door._neighbourhood("2001:db8:1:3::3")
    assert door._neighbourhood("::ffff:10.0.0.1") != door._neighbourhood("::ffff:10.0.0.2")
    assert door._neighbourhood("fe80::1%eth0") == door._neighbourhood("fe80::2")


@pytest.mark.parametrize(("soft", "hard", "wanted"), [(1024, 4096, 4096), (1024, 18000, 16384), (17000, 18000, 17000)])
def test_a_service_takes_more_descriptors_than_a_shell_gives_it(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, wanted: int
) -> None:
    limits = [(soft, hard)]
    monkeypatch.setattr("resource.getrlimit", lambda _: limits[-1])
    monkeypatch.setattr("resource.setrlimit", lambda _, limit: limits.append(limit))
    door.allow_descriptors()
    assert limits[-1] == (wanted, hard)
