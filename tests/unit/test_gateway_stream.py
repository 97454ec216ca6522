"""Streams are kept alive through silence and closed in every case; work ends when nobody waits for it."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any

import pytest
from starlette.requests import ClientDisconnect, Request

from ocg.gateway.stream import with_heartbeats
from ocg.gateway.tasks import Tasks
from ocg.gateway.websocket import _Outbox
from ocg.lifecycle.stream import EventStream, while_listening


class _Source:
    """A generator that waits between its items and knows whether it was closed."""

    def __init__(self, *pauses_s: float) -> None:
        self._pauses_s = pauses_s
        self.is_closed = False

    async def items(self) -> AsyncGenerator[bytes, None]:
        try:
            for number, pause_s in enumerate(self._pauses_s):
                await asyncio.sleep(pause_s)
                yield b"%d" % number
        finally:
            self.is_closed = True


def _receive(after_s: float) -> Callable[[], Coroutine[Any, Any, dict[str, str]]]:
    async def receive() -> dict[str, str]:
        await asyncio.sleep(after_s)
        return {"type": "http.disconnect"}

    return receive


async def test_silence_is_filled_and_nothing_lost() -> None:
    source = _Source(0, 0.12, 0)
    found = [item async for item in with_heartbeats(source.items(), every_s=0.05)]
    assert [item for item in found if item is not None] == [b"0", b"1", b"2"]
    assert found.count(None) == 2
    assert source.is_closed


async def test_leaving_early_closes_the_source() -> None:
    source = _Source(0, 60)
    beats = with_heartbeats(source.items(), every_s=0.01)
    assert await anext(beats) == b"0"
    assert await anext(beats) is None
    await beats.aclose()
    assert source.is_closed


async def test_leaving_between_two_items_closes_the_source_too() -> None:
    source = _Source(0, 60)
    beats = with_heartbeats(source.items())
    assert await anext(beats) == b"0"
    await beats.aclose()
    assert source.is_closed


async def test_an_error_of_the_source_comes_through() -> None:
    async def broken() -> AsyncGenerator[int, None]:
        yield 1
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        assert [item async for item in with_heartbeats(broken())] == [1]


async def test_a_stream_whose_client_has_gone_is_closed_at_once() -> None:
    source, sent = _Source(0, 60), []

    async def send(message: Any) -> None:
        sent.append(message)

    async with asyncio.timeout(5):
        await EventStream(source.items())({"type": "http"}, _receive(0.05), send)
    assert source.is_closed
    assert [message.get("body") for message in sent] == [None, b"0"]


async def test_a_stream_whose_client_takes_nothing_is_closed_when_it_goes() -> None:
    source = _Source(0, 60)

    async def send(message: Any) -> None:
        if message.get("body"):
            await asyncio.sleep(60)

    async with asyncio.timeout(5):
        await EventStream(source.items())({"type": "http"}, _receive(0.05), send)
    assert source.is_closed


async def test_a_stream_is_closed_when_the_service_drops_it() -> None:
    source = _Source(60)

    async def send(_: Any) -> None:
        return

    task = asyncio.create_task(EventStream(source.items())({"type": "http"}, _receive(60), send))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert source.is_closed


async def test_work_ends_with_the_client_that_waits_for_it() -> None:
    was_cancelled = asyncio.Event()

    async def work() -> int:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            was_cancelled.set()
            raise
        return 1

    with pytest.raises(ClientDisconnect):
        await while_listening(Request({"type": "http"}, _receive(0.01)), work())
    assert was_cancelled.is_set()


async def test_work_that_is_done_in_time_gives_its_result() -> None:
    request = Request({"type": "http"}, _receive(60))
    assert await while_listening(request, asyncio.sleep(0, 7)) == 7


async def test_an_outbox_is_bounded() -> None:
    outbox = _Outbox()
    for _ in range(4):
        outbox.put(b"x" * (1 << 20))
    assert not outbox.overfull.is_set()
    outbox.put(b"x")
    assert outbox.overfull.is_set()
    assert outbox._waiting.qsize() == 4


async def test_duties_are_ended_with_the_service() -> None:
    done: list[int] = []

    async def duty(seconds: float) -> None:
        await asyncio.sleep(seconds)
        done.append(1)

    async with asyncio.timeout(5), Tasks() as tasks:
        tasks.start(duty(0.05))
        tasks.start(duty(60))
    assert done == [1]
