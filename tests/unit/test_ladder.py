"""The signal ladder from inside, with real signals to this process."""

import asyncio
import os
import signal

import pytest

from ocg.lifecycle import ladder as ladder_module
from ocg.lifecycle.ladder import Ladder


@pytest.fixture
async def ladder(monkeypatch: pytest.MonkeyPatch) -> Ladder:
    monkeypatch.setattr(ladder_module, "RUNG_S", 0.2)
    found = Ladder()
    found.install()
    return found


async def _signal(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)
    await asyncio.sleep(0.05)  # the loop hears of it by its wake-up descriptor


async def test_sigterm_asks_to_finish_and_after_a_rung_to_drop(ladder: Ladder) -> None:
    await _signal(signal.SIGTERM)
    assert ladder.finish.is_set()
    assert not ladder.drop.is_set()
    async with asyncio.timeout(2):
        await ladder.drop.wait()


async def test_a_second_sigterm_changes_nothing(ladder: Ladder) -> None:
    await _signal(signal.SIGTERM)
    await _signal(signal.SIGTERM)
    assert not ladder.drop.is_set()
    ladder.close()


async def test_sigint_after_sigterm_drops_at_once(ladder: Ladder) -> None:
    await _signal(signal.SIGTERM)
    await _signal(signal.SIGINT)
    assert ladder.drop.is_set()
    ladder.close()


async def test_sigint_alone_begins_and_a_second_one_drops(ladder: Ladder) -> None:
    await _signal(signal.SIGINT)
    assert ladder.finish.is_set()
    assert not ladder.drop.is_set()
    await _signal(signal.SIGINT)
    assert ladder.drop.is_set()
    ladder.close()
