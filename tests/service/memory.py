"""What tests of memories share: an agent beside the real ocg-embedding, and how to look at what both know."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ocg.protocol import address
from tests.asking import ask
from tests.processes import Process, running
from tests.service.agent import Agent


@contextlib.contextmanager
def embedding(folder: Path, env: Mapping[str, str]) -> Iterator[Process]:
    """Run ocg-embedding, for the first time or again."""
    (folder / "ocg.embedding.notify").unlink(missing_ok=True)
    with running(folder, "ocg.embedding", env) as process:
        yield process


def remember(agent: Agent, text: str, **more: Any) -> Any:
    """Store a memory and return it."""
    status, found = agent.ask("POST", "/v1/memories", {"text": text} | more)
    assert status == 200, found
    return found


def search(agent: Agent, query: str, limit: int = 20) -> list[str]:
    """Search, and return the texts."""
    status, answer = agent.ask("GET", f"/v1/memories?q={quote(query)}&limit={limit}")
    assert status == 200, answer
    return [one["text"] for one in answer["memories"]]


def listed(agent: Agent, limit: int = 1000) -> list[Any]:
    """Return the newest memories."""
    status, answer = agent.ask("GET", f"/v1/memories?limit={limit}")
    assert status == 200, answer
    return list(answer["memories"])


def pending(agent: Agent) -> int:
    """How many changes ocg-embedding has not been told yet."""
    return int(agent.ask("GET", "/health")[1]["details"]["vectors_pending"])


def vectors(env: Mapping[str, str]) -> dict[str, str]:
    """Return the ids and texts that ocg-embedding has vectors of."""
    where = address.find(Path(env["OCG_PID_DIR"]))
    status, found = ask(f"{where.url}/collections/memories/get", {"limit": 10_000}, token=where.token)
    return {one["id"]: one["text"] for one in found["items"]} if status == 200 else {}


def agree(agent: Agent, env: Mapping[str, str]) -> bool:
    """Whether vectors and memories are the same."""
    return pending(agent) == 0 and vectors(env) == {one["id"]: one["text"] for one in listed(agent)}


def wait_for(condition: Callable[[], Any], timeout_s: float = 15.0) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.05)
