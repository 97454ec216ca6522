"""A load that runs in the box while a test does something to the services."""

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.systemd.box import Box
from tests.systemd.conftest import TOKEN

SOCKET = "/run/ocg/agent.sock"
GATEWAY = "http://127.0.0.1:55003"
CLIENTS = 50


@dataclass
class Outcome:
    """What came of a load: counts by kind, and what must not happen."""

    counts: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


@contextmanager
def load(box: Box, where: str = SOCKET) -> Iterator[Outcome]:
    """Keep 50 clients busy for as long as the block lasts; the outcome is known after it."""
    outcome = Outcome()
    box.wait_until(f"test -S {SOCKET}")
    target = (GATEWAY, str(CLIENTS), TOKEN) if where == GATEWAY else (box.seen_from_here(where), str(CLIENTS))
    process = box.beside("-m", "tests.systemd.load", *target)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line == "busy\n", line + process.stdout.read()
        yield outcome
        process.terminate()
        out, _ = process.communicate(timeout=60)
        found = json.loads(out)
        outcome.counts, outcome.faults = found["counts"], found["faults"]
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.communicate()
