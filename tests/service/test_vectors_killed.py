"""Killed at any moment: what was acknowledged is there, what was deleted is not, and the index knows just that."""

import random
import time
from pathlib import Path
from typing import Any

import pytest

from tests.forking import host

_ROUNDS = 200


class _Expected:
    """What must be kept: what was acknowledged, with or without what was under way."""

    def __init__(self) -> None:
        self.kept: dict[str, int] = {}
        self.next: dict[str, int] | None = None
        self.acknowledged = 0

    def hear(self, said: dict[str, Any]) -> None:
        if "put" in said:
            self.next = self.kept | dict.fromkeys(said["put"], said["version"])
        elif "deleted" in said:
            self.next = {id_: version for id_, version in self.kept.items() if id_ not in said["deleted"]}
        elif "done" in said and self.next is not None:
            self.kept, self.next = self.next, None
            self.acknowledged += 1

    def check(self, found: dict[str, int]) -> None:
        assert found in (self.kept, self.next), _difference(found, self.kept, self.next)
        self.kept, self.next = found, None


def _difference(found: dict[str, int], kept: dict[str, int], after: dict[str, int] | None) -> str:
    lost = {id_: version for id_, version in kept.items() if found.get(id_) != version}
    back = {id_: version for id_, version in found.items() if kept.get(id_) != version}
    return f"acknowledged and not there: {lost}; there and not acknowledged: {back}; under way: {after is not None}"


@pytest.mark.timeout(300)
def test_200_kills_lose_no_acknowledged_write_and_bring_back_no_deleted_one(tmp_path: Path) -> None:
    rng, expected, states = random.Random(5), _Expected(), []
    with host("tests.vector_host", tmp_path / "vectors.db") as process:
        for number in range(_ROUNDS):
            lines = rng.randrange(1, 40)
            for said in process.born(number + 1):
                expected.hear(said)
                if "found" in said:
                    expected.check(said["found"])
                    states.append(said["state"])
                lines -= 1
                if not lines:
                    time.sleep(rng.random() * 0.01)  # not always where a line was written
                    process.kill()
    assert expected.acknowledged > 5 * _ROUNDS
    assert len(states) > _ROUNDS / 2
    # The rounds met bases that were built, saved and loaded, with dead ones in them.
    assert sum("kind='hnsw'" in state for state in states) > _ROUNDS / 4
