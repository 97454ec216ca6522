"""The agent killed at any moment, and away for half an hour each time: every time of a schedule is of one turn."""

import random
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.forking import host

_ROUNDS = 60
_STEPS = {"often": 60.0, "cron": 600.0}


def _check(said: dict[str, Any], seen: dict[str, Any]) -> None:
    """No time is left out, none is done twice, and what has ended stays so."""
    turns = [message_id for message_id, _ in said["turns"]]
    assert len(turns) == len(set(turns))
    open_turns = {message_id for message_id, state in said["turns"] if state != "completed"}
    for name, runs in said["runs"].items():
        assert sum(state == "running" for *_, state in runs) <= 1
        for run, after in pairwise(runs):
            id_, due_at, missed, state = run
            assert state == "completed"
            assert id_ in turns
            assert id_ not in open_turns
            assert after[1] == due_at + _STEPS[name] * (1 + missed), (run, after)
            assert seen.setdefault(id_, run) == run
    assert set(seen) <= set(turns)


@pytest.mark.timeout(200)
def test_60_kills_and_downtimes_leave_every_time_to_exactly_one_turn(tmp_path: Path) -> None:
    rng, seen = random.Random(5), dict[str, Any]()
    with host("tests.schedule_host", tmp_path) as process:
        for number in range(1, _ROUNDS + 1):
            lines = rng.randrange(1, 12)
            for said in process.born(number):
                _check(said, seen)
                lines -= 1
                if not lines:
                    time.sleep(rng.random() * 0.02)
                    process.kill()
    caught_up = sum(missed >= 20 for _, _, missed, _ in seen.values())
    assert caught_up > _ROUNDS / 2
    assert len(seen) > 2 * _ROUNDS
