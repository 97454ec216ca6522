"""The door: so many at once and no more, nobody alone has all of it, and who leaves makes room."""

import asyncio
import os
import resource
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from ocg.lifecycle import answers, door, guests, sockets
from ocg.lifecycle.door import Door
from ocg.lifecycle.guests import Guests, Room
from ocg.lifecycle.neighbourhood import neighbourhood
from ocg.lifecycle.server import Server
from ocg.lifecycle.stream import EventStream

_REQUEST = b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n"


async def _hello(_: Request) -> PlainTextResponse:
    return PlainTextResponse("hello")


async def _work(_: Request) -> EventStream:
    async def chunks() -> AsyncGenerator[bytes, None]:
        yield b"begun"
        await asyncio.Event().wait()

    return EventStream(chunks())


@asynccontextmanager
async def _serving(room: Room, *, host: str = "127.0.0.1", is_tls: bool = False) -> AsyncIterator[int]:
    """Serve: who asks for /work is at work for as long as he stays."""
    inside = Guests(room)
    listener = Door(sockets.listen_tcp(host, [0], key="X"), inside, is_tls=is_tls)
    app = answers.create_app([Route("/", _hello), Route("/work", _work)])

    async def working(scope: Scope, receive: Receive, send: Send) -> None:
        with inside.at_work(scope["client"] if scope["path"] == "/work" else None):
            await app(scope, receive, send)

    server = Server(working)
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
        self._writer.write(_REQUEST % b"/work")
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


async def test_one_address_cannot_keep_all_others_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guests, "neighbourhood", str)
    async with _serving(Room(4, 3)) as port, AsyncExitStack() as inside:
        for _ in range(3):
            await inside.enter_async_context(_Visit(port, "127.0.0.2"))
        async with _Visit(port, "127.0.0.2") as refused, _Visit(port, "127.0.0.3") as other:
            assert b" 503 " in refused
            assert b" 200 " in other


async def test_who_asks_for_nothing_makes_way_and_who_is_at_work_stays() -> None:
    async with _serving(Room(40, 4)) as port, AsyncExitStack() as inside:
        readers = []
        for number, path in enumerate((b"/work", b"/", b"/", b"")):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(f"127.0.0.{number + 1}", 0))
            inside.callback(writer.close)
            if path:
                writer.write(_REQUEST % path)
                assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
            readers.append(reader)
        for left in (1, 2, 3):
            assert b" 200 " in await inside.enter_async_context(_Visit(port))
            await asyncio.wait_for(readers[left].read(), 3)
        async with _Visit(port) as refused:
            assert b" 503 " in refused
        await asyncio.wait_for(readers[0].readuntil(b"begun"), 3)
        assert not readers[0].at_eof()


async def test_a_flood_of_connections_does_not_keep_the_one_out_that_asks() -> None:
    async with _serving(Room(100, 75)) as port, AsyncExitStack() as inside:
        for _ in range(3):
            for _ in range(200):
                inside.enter_context(socket.create_connection(("127.0.0.1", port)))
                await asyncio.sleep(0)
            async with _Visit(port) as answer:
                assert b" 200 " in answer


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


def test_of_ipv6_a_whole_network_is_one_neighbour_and_so_is_this_machine() -> None:
    assert neighbourhood("2001:db8:1:2::3") == neighbourhood("2001:db8:1:2:ffff::4")
    assert neighbourhood("2001:db8:1:2::3") != neighbourhood("2001:db8:1:3::3")
    assert neighbourhood("::ffff:10.0.0.1") == neighbourhood("10.0.0.1") != neighbourhood("::ffff:10.0.0.2")
    assert neighbourhood("fe80::1%eth0") == neighbourhood("fe80::2")
    assert len({neighbourhood(one) for one in ("127.0.0.1", "127.200.3.4", "::1", "::ffff:127.0.0.2")}) == 1


@pytest.mark.parametrize(("soft", "hard", "wanted"), [(1024, 4096, 4096), (1024, 18000, 16384), (17000, 18000, 17000)])
def test_a_service_takes_more_descriptors_than_a_shell_gives_it(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, wanted: int
) -> None:
    limits = [(soft, hard)]
    monkeypatch.setattr("resource.getrlimit", lambda _: limits[-1])
    monkeypatch.setattr("resource.setrlimit", lambda _, limit: limits.append(limit))
    door.allow_descriptors()
    assert limits[-1] == (wanted, hard)
