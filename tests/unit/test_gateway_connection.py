"""A connection's head and body are bounded in size and time, and who is dropped before an answer hears that."""

import asyncio
import socket
from collections.abc import AsyncGenerator, AsyncIterator

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from ocg.lifecycle import answers, connection, sockets
from ocg.lifecycle.server import Server
from ocg.lifecycle.stream import EventStream


async def _read(request: Request) -> Response:
    return Response(await answers.read_bytes(request, limit_bytes=100))


async def _hang(_: Request) -> Response:
    await asyncio.sleep(60)
    return Response()


async def _flood(_: Request) -> Response:
    async def chunks() -> AsyncGenerator[bytes, None]:
        for _ in range(64):
            yield bytes(1 << 20)

    return EventStream(chunks())


async def _pour(chat: WebSocket) -> None:
    await chat.accept()
    for _ in range(64):
        await chat.send_bytes(bytes(1 << 20))


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Server, int]]:
    """A server with little patience."""
    monkeypatch.setattr(connection, "_HEAD_S", 0.2)
    monkeypatch.setattr(answers, "BODY_TIMEOUT_S", 0.2)
    listener = sockets.listen_tcp("127.0.0.1", [0], key="X")
    monkeypatch.setattr(connection, "_LOOK_S", 0.3)
    routes = [
        Route("/", _read, methods=["GET", "POST"]),
        Route("/hang", _hang),
        Route("/flood", _flood),
        WebSocketRoute("/pour", _pour),
    ]
    found = Server(answers.create_app(routes))
    serving = asyncio.create_task(found.serve(sockets=[listener]))
    await found.listening.wait()
    yield found, listener.getsockname()[1]
    await found.drop()
    await serving


async def _say(port: int, *parts: bytes, pause_s: float = 0.0) -> bytes:
    """Send parts with pauses between, and return all that comes until the peer closes, within three seconds."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(3):
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(pause_s)
            return await reader.read()
    except ConnectionError:
        return b"reset"
    finally:
        writer.close()


async def test_who_says_nothing_is_hung_up_on(server: tuple[Server, int]) -> None:
    assert await _say(server[1]) in {b"", b"reset"}


async def test_who_never_ends_a_head_is_hung_up_on_at_the_second_request_too(server: tuple[Server, int]) -> None:
    whole = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    for parts in ((b"GET / HTTP/1.1\r\nX: y\r\n",), (whole, b"GET / HT")):
        answer = await _say(server[1], *parts, pause_s=0.1)
        assert answer.count(b"HTTP/1.1 200") == len(parts) - 1


async def test_an_idle_connection_is_kept_for_a_further_request(server: tuple[Server, int]) -> None:
    whole = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    last = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    assert (await _say(server[1], whole, last, pause_s=0.5)).count(b"HTTP/1.1 200") == 2


async def test_a_head_over_its_bound_is_refused(server: tuple[Server, int]) -> None:
    answer = await _say(server[1], b"GET / HTTP/1.1\r\nX: ", *[b"x" * 30_000] * 3, pause_s=0.02)
    assert answer == b"reset" or answer.startswith(b"HTTP/1.1 431 ")


async def test_a_body_that_does_not_come_is_not_waited_for(server: tuple[Server, int]) -> None:
    answer = await _say(server[1], b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 50\r\n\r\nabc")
    assert answer.startswith(b"HTTP/1.1 504 ")


_REFUSED = b"POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\nx"


@pytest.mark.parametrize("more", [(), (b"y",), (b"y",) * 8])
async def test_who_never_ends_a_body_that_was_answered_already_is_hung_up_on(
    server: tuple[Server, int], more: tuple[bytes, ...]
) -> None:
    answer = await _say(server[1], _REFUSED, *more, pause_s=0.05)
    assert answer == b"reset" or answer.startswith(b"HTTP/1.1 404 ")


async def test_who_says_next_to_nothing_after_an_answer_is_hung_up_on(server: tuple[Server, int]) -> None:
    answer = await _say(server[1], b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\r\n", pause_s=0.05)
    assert answer == b"reset" or answer.startswith(b"HTTP/1.1 200 ")


async def test_a_body_that_ends_after_its_answer_is_followed_by_the_next_request(server: tuple[Server, int]) -> None:
    last = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    answer = await _say(server[1], _REFUSED, b"y" * 49, last, pause_s=0.05)
    assert [answer.count(b"HTTP/1.1 404 "), answer.count(b"HTTP/1.1 200 ")] == [1, 1]


async def test_a_body_that_is_announced_too_large_is_not_waited_for(server: tuple[Server, int]) -> None:
    answer = await _say(server[1], b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413 ")


async def test_who_is_dropped_before_an_answer_began_is_told_to_come_back(server: tuple[Server, int]) -> None:
    asking = asyncio.create_task(_say(server[1], b"GET /hang HTTP/1.1\r\nHost: x\r\n\r\n"))
    while not server[0].server_state.tasks:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    await server[0].drop()
    answer = await asking
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after: 1" in answer.lower()


async def test_answers_are_not_held_back_by_nagles_algorithm(server: tuple[Server, int]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server[1])
    took_s = []
    for _ in range(10):
        began = asyncio.get_running_loop().time()
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nabcd")
        await reader.readuntil(b"abcd")
        took_s.append(asyncio.get_running_loop().time() - began)
    writer.close()
    assert min(took_s[2:]) < 0.03  # 40 ms each otherwise, but for the first


async def test_many_silent_connections_are_all_hung_up_on(server: tuple[Server, int]) -> None:
    found = await asyncio.gather(*(_say(server[1]) for _ in range(50)))
    assert set(found) <= {b"", b"reset"}
    assert not server[0].server_state.connections


async def _connected(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    return reader, writer


async def test_who_has_connected_before_a_stop_is_still_answered(server: tuple[Server, int]) -> None:
    found, port = server
    connections = [await _connected(port) for _ in range(20)]
    found.finish()
    await asyncio.sleep(0.05)
    for _, writer in connections:
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    answers = [await asyncio.wait_for(reader.read(), 3) for reader, _ in connections]
    assert all(answer.startswith(b"HTTP/1.1 200") and b"connection: close" in answer for answer in answers)
    for _, writer in connections:
        writer.close()


async def test_a_request_on_its_way_over_an_old_connection_is_answered_before_the_stop(
    server: tuple[Server, int],
) -> None:
    found, port = server
    request = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=3) as raw:
        raw.sendall(request)
        assert (await asyncio.to_thread(raw.recv, 4096)).startswith(b"HTTP/1.1 200")
        raw.sendall(request)
        (one,) = found.server_state.connections
        one.shutdown()  # before the event loop has seen a byte of it
        assert (await asyncio.to_thread(raw.recv, 4096)).startswith(b"HTTP/1.1 200")
        assert await asyncio.to_thread(raw.recv, 4096) == b""


async def test_an_idle_connection_does_not_hold_up_a_stop(server: tuple[Server, int]) -> None:
    found, port = server
    reader, writer = await _connected(port)
    writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    found.finish()
    assert await asyncio.wait_for(reader.read(), 0.2) == b""
    writer.close()


_UPGRADE = (
    b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


@pytest.mark.parametrize(("path", "more"), [(b"/flood", b""), (b"/pour", _UPGRADE)])
async def test_who_does_not_read_is_hung_up_on_and_the_work_for_him_ends(
    server: tuple[Server, int], path: bytes, more: bytes
) -> None:
    found, port = server
    _, writer = await _connected(port)
    writer.transport.pause_reading()  # type: ignore[attr-defined] # asyncio's own type has no reading side
    writer.write(b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\n" + more + b"\r\n")
    async with asyncio.timeout(3):
        while not found.server_state.tasks:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
        while found.server_state.connections or found.server_state.tasks:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.01)
    writer.close()


async def test_who_reads_slowly_and_steadily_is_served_to_the_end(server: tuple[Server, int]) -> None:
    reader, writer = await _connected(server[1])
    writer.write(b"GET /flood HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    size = 0
    while data := await reader.read(4 << 20):
        size += len(data)
        await asyncio.sleep(0.01)
    assert size > 64 << 20
    writer.close()
