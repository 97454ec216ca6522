"""The agent killed at any moment: no accepted message is lost, no unsafe tool runs twice, no turn is stuck."""

import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.forking import host
from tests.turn_host import CLIENTS_TOOL, answer_to

_ROUNDS = 200


class _Expected:
    """What was accepted, and how each turn was seen to end."""

    def __init__(self) -> None:
        self.accepted: dict[str, str] = {}
        self.ends: dict[str, list[Any]] = {}
        self.checks = 0

    def check(self, found: dict[str, list[Any]], due: list[str]) -> None:
        """Every message has its turn, which has ended, once and for all; its answer waits or is another turn's."""
        self.checks += 1
        assert self.accepted.keys() <= found.keys(), self.accepted.keys() - found.keys()
        assert {one: end for one, end in found.items() if one in self.ends} == self.ends
        for message_id, (state, code, joined, last, _) in found.items():
            if state == "failed":
                assert code == "cancelled"  # by a message that was to interrupt it
            elif message_id.startswith("client"):
                assert (state, last) == ("completed", CLIENTS_TOOL)
            elif joined is None:
                assert (state, last[: len("an answer to")]) == ("completed", "an answer to")
        by_id = {end[4]: end for end in found.values()}
        for message_id, (_, _, joined, _, _) in found.items():
            assert by_id[joined][2] is None if joined else message_id in due, message_id
        self.ends = found

    def answered(self) -> int:
        return sum(end[3] == answer_to(f"message {one}") for one, end in self.ends.items())


@pytest.mark.timeout(400)
def test_200_kills_lose_no_message_run_no_unsafe_tool_twice_and_leave_no_turn_stuck(tmp_path: Path) -> None:
    rng, expected = random.Random(3), _Expected()
    with host("tests.turn_host", tmp_path) as process:
        for number in range(1, _ROUNDS + 1):
            lines = rng.randrange(1, 20)
            for said in process.born(number):
                if "accepted" in said:
                    expected.accepted[said["accepted"]] = said["mode"]
                if "found" in said:
                    expected.check(said["found"], said["due"])
                lines -= 1
                if not lines:
                    time.sleep(rng.random() * 0.01)
                    process.kill()
    ran = Counter((tmp_path / "ran").read_text().splitlines())
    twice = {line for line, times in ran.items() if times > 1}
    assert not {line for line in twice if line.startswith("launch")}
    assert sum(line.startswith("launch_if_allowed") for line in ran) > _ROUNDS
    # The rounds met what they are about: tools cut off and run again, turns joined and ended by others.
    assert twice
    assert expected.checks > _ROUNDS / 3
    assert expected.answered() > _ROUNDS
    assert sum(end[3] == CLIENTS_TOOL for end in expected.ends.values()) > _ROUNDS / 3
    assert any(end[2] for end in expected.ends.values())
    assert any(end[1] == "cancelled" for end in expected.ends.values())
