"""A worker thread never holds up the loop, never grows without bound, and never keeps the process alive."""

import asyncio
import functools
import threading

import pytest

from ocg.errors import Code, OcgError
from ocg.lifecycle.worker import Worker


async def test_jobs_run_in_order_in_one_thread_that_is_not_the_loops() -> None:
    worker = Worker("w")
    seen: list[tuple[int, int]] = []

    def job(number: int) -> None:
        seen.append((number, threading.get_ident()))

    await asyncio.gather(*(worker.run(functools.partial(job, number)) for number in range(20)))
    await worker.close()
    assert [n for n, _ in seen] == list(range(20))
    assert len({thread for _, thread in seen}) == 1
    assert seen[0][1] != threading.get_ident()


async def test_what_a_job_raises_is_raised_where_it_was_asked_for() -> None:
    worker = Worker("w")
    with pytest.raises(ZeroDivisionError):
        await worker.run(lambda: 1 // 0)
    assert await worker.run(lambda: 7) == 7
    await worker.close()


async def test_a_full_queue_says_busy_instead_of_growing() -> None:
    gate = threading.Event()
    worker = Worker("w", max_queue=2)
    running = [asyncio.ensure_future(worker.run(gate.wait))]
    await asyncio.sleep(0.05)  # the thread has taken the first, so two more fill the queue
    running += [asyncio.ensure_future(worker.run(gate.wait)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(OcgError) as caught:
        await worker.run(gate.wait)
    assert caught.value.code is Code.BUSY
    gate.set()
    await asyncio.gather(*running)
    await worker.close()


async def test_a_job_nobody_waits_for_any_more_is_not_begun() -> None:
    gate, ran = threading.Event(), threading.Event()
    worker = Worker("w")
    first = asyncio.ensure_future(worker.run(gate.wait))
    second = asyncio.ensure_future(worker.run(ran.set))
    await asyncio.sleep(0.05)
    second.cancel()
    await asyncio.sleep(0)
    gate.set()
    await first
    await worker.close()
    assert not ran.is_set()


async def test_closing_does_not_wait_for_a_stuck_job_for_ever() -> None:
    gate = threading.Event()
    worker = Worker("w")
    stuck = asyncio.ensure_future(worker.run(gate.wait))
    await asyncio.sleep(0.05)
    async with asyncio.timeout(2):
        await worker.close(timeout_s=0.1)
    assert not stuck.done()
    gate.set()
    await stuck
    await asyncio.sleep(0.05)
