"""The watchdog's ping is sent while the loop turns and no worker is stuck, and withheld, loudly, when one is."""

import asyncio
import functools
import logging
import threading
import time

import pytest

from ocg.lifecycle import watchdog
from ocg.lifecycle.notify import Notifier
from ocg.lifecycle.worker import Worker

_LIMIT_S = 0.2


class _Counting(Notifier):
    """Counts pings."""

    def __init__(self) -> None:  # without the socket of the real one
        self.pings = 0

    def status(self, text: str) -> None:
        pass

    def watchdog(self) -> None:
        self.pings += 1


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", str(int(_LIMIT_S * 1e6)))


async def _pings_during(worker: Worker, seconds: float) -> int:
    notifier = _Counting()
    task = asyncio.create_task(watchdog.ping(notifier, (worker,)))
    await asyncio.sleep(seconds)
    task.cancel()
    return notifier.pings


async def test_an_idle_service_pings(watched: None) -> None:
    worker = Worker("w")
    assert await _pings_during(worker, 3 * _LIMIT_S) >= 4
    await worker.close()


async def test_a_stuck_worker_gets_no_ping_and_is_named_once(watched: None, caplog: pytest.LogCaptureFixture) -> None:
    worker, gate = Worker("llama"), threading.Event()
    job = asyncio.create_task(worker.run(functools.partial(gate.wait, 10)))
    with caplog.at_level(logging.CRITICAL):
        assert await _pings_during(worker, 6 * _LIMIT_S) <= 4
    assert [record.getMessage() for record in caplog.records] == [
        f"thread llama shows no progress for {_LIMIT_S:g} s: the watchdog's ping is withheld"
    ]
    gate.set()
    await job
    assert await _pings_during(worker, _LIMIT_S) >= 1
    await worker.close()


def _slow(worker: Worker, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        worker.beat()
        time.sleep(_LIMIT_S / 10)


async def test_a_slow_worker_that_shows_progress_is_left_in_peace(watched: None) -> None:
    worker = Worker("w")
    job = asyncio.create_task(worker.run(lambda: _slow(worker, 5 * _LIMIT_S)))
    assert await _pings_during(worker, 5 * _LIMIT_S) >= 8
    await job
    await worker.close()


async def test_a_job_can_ask_for_patience(watched: None) -> None:
    worker = Worker("w")

    def load() -> None:
        worker.beat(ahead_s=60)
        time.sleep(4 * _LIMIT_S)

    job = asyncio.create_task(worker.run(load))
    assert await _pings_during(worker, 4 * _LIMIT_S) >= 6
    await job
    assert worker.silent_s == 0
    await worker.close()


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Have a worker's thread take nothing up until this is set."""
    gate = threading.Event()
    work = Worker._work
    monkeypatch.setattr(Worker, "_work", lambda self: (gate.wait(10), work(self)))
    return gate


async def test_a_job_that_was_cancelled_in_the_queue_leaves_nothing_to_wait_for(
    watched: None, late: threading.Event
) -> None:
    worker = Worker("w")
    job = asyncio.create_task(worker.run(lambda: None))
    await asyncio.sleep(0.01)
    job.cancel()
    late.set()
    await worker.close()
    assert worker.silent_s == 0


async def test_a_thread_that_does_not_take_a_job_up_is_stuck(watched: None, late: threading.Event) -> None:
    worker = Worker("w")
    job = asyncio.create_task(worker.run(lambda: 1))
    assert await _pings_during(worker, 4 * _LIMIT_S) <= 3
    late.set()
    assert await job == 1
    await worker.close()
