"""How well memories are found: recall@5 by words, by meaning and by both, and what a recall takes at 10,000.

    .venv/bin/python -m bench.memory [--half tune|report|all]

The agent's own code over agent.db, with the real ocg-embedding; the set is bench/data (see bench/memory_set.py).
"""

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from bench.memory_facts import UNRELATED
from bench.vectors import _service
from ocg.agent.memory import Memories
from ocg.agent.memory.lookup import Meaning, by_word
from ocg.agent.memory.ranking import Weights, best, without_repeats
from ocg.agent.memory.records import fetch
from ocg.agent.outbox import Outbox
from ocg.agent.schema import MIGRATIONS
from ocg.agent.words import terms
from ocg.database import Database
from ocg.protocol.clients import EmbeddingClient
from ocg.protocol.messages import MemoryRecord

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import AsyncIterator, Iterator

DATA = Path(__file__).parent / "data"
TOP, COUNT, DEEP = 5, 10_000, 200
GOAL_MS = 15.0
MIN_SCORE = 0.3  # OCG_RECALL_MINSCORE
DAY_S = 86400.0


class Memory(msgspec.Struct, frozen=True):
    """A line of memories.jsonl."""

    id: str
    text: str
    kind: str
    age_days: int
    importance: float


class Question(msgspec.Struct, frozen=True):
    """A line of questions.jsonl."""

    text: str
    language: str
    need: str
    answers: tuple[str, ...]
    half: str


@dataclass(frozen=True)
class Candidates:
    """What was found for a question, either way, as deep as any weights could want it."""

    question: Question
    meaning: dict[str, float]
    words: dict[str, float]
    rows: "Mapping[str, sqlite3.Row]"


@dataclass(frozen=True)
class Stack:
    """The parts of the agent that remember."""

    database: Database
    outbox: Outbox
    meaning: Meaning
    memories: Memories


def load(half: str) -> tuple[list[Memory], list[Question]]:
    memories = [msgspec.json.decode(line, type=Memory) for line in (DATA / "memories.jsonl").read_bytes().splitlines()]
    questions = [
        msgspec.json.decode(one, type=Question) for one in (DATA / "questions.jsonl").read_bytes().splitlines()
    ]
    return memories, [one for one in questions if half in {"all", one.half}]


@asynccontextmanager
async def stack(folder: Path) -> "AsyncIterator[Stack]":
    """Open agent.db beside a running ocg-embedding."""
    async with AsyncExitStack() as owned:
        database = await Database.open(folder / "data" / "agent.db", MIGRATIONS)
        owned.push_async_callback(database.close)
        embedding = await owned.enter_async_context(EmbeddingClient(folder / "pids"))
        outbox = Outbox(database, embedding)
        yield Stack(database, outbox, Meaning(embedding, outbox), Memories(database, embedding, outbox))


async def fill(made: Stack, memories: Sequence[Memory], *, copies: int = 1) -> None:
    """Import the set, as old as it says, and have it embedded."""
    now = time.time()
    records = [
        MemoryRecord(
            id=one.id if not copy else f"{one.id}.{copy}",
            text=one.text if not copy else f"{one.text} ({copy})",
            kind=one.kind,
            importance=one.importance,
            created_at=now - one.age_days * DAY_S,
        )
        for copy in range(copies)
        for one in memories
    ][:COUNT]
    for at in range(0, len(records), 500):
        await made.memories.take_in(records[at : at + 500])
    while await made.outbox.deliver_some():
        pass


async def look(made: Stack, questions: Sequence[Question]) -> list[Candidates]:
    """Look for each question's memories both ways."""
    found = []
    for one in questions:
        wanted = terms(one.text)
        worded = await made.database.read(lambda db, wanted=wanted: by_word(db, wanted, DEEP))  # type: ignore[misc]
        near = await made.meaning.nearest(one.text, DEEP, timeout_s=30)
        assert near is not None
        ids = list({*near, *worded})
        rows = await made.database.read(lambda db, ids=ids: fetch(db, ids))  # type: ignore[misc]
        found.append(Candidates(one, near, worded, rows))
    return found


def answer(one: Candidates, weights: Weights, *, words: bool, meaning: bool) -> list[str]:
    """Return the five best, as the agent ranks them, with one way switched off or neither."""
    depth = weights.blend(one.question.text).depth
    near = dict(list(one.meaning.items())[:depth]) if meaning else {}
    worded = dict(list(one.words.items())[:depth]) if words else {}
    found = best(one.question.text, near, worded, one.rows, now=time.time(), weights=weights)
    return [kept.memory.id for kept, _ in zip(without_repeats(found), range(TOP), strict=False)]


def recall(found: Sequence[Candidates], weights: Weights, *, words: bool = True, meaning: bool = True) -> float:
    """Return the part of the questions with their answer among the five best."""
    hits = [bool({*answer(one, weights, words=words, meaning=meaning)} & {*one.question.answers}) for one in found]
    return statistics.fmean(hits) if hits else 0.0


WAYS: tuple[tuple[str, bool, bool], ...] = (("words", True, False), ("vectors", False, True), ("both", True, True))
ROWS: tuple[tuple[str, Callable[[Question], bool]], ...] = (
    ("English", lambda one: one.language == "en"),
    ("Chinese", lambda one: one.language == "zh"),
    ("all", lambda _: True),
    ("  found by words", lambda one: one.need == "words"),
    ("  found by meaning", lambda one: one.need == "meaning"),
    ("  found by both", lambda one: one.need == "both"),
    ("  the newer of two", lambda one: one.need == "newest"),
)


def table(found: Sequence[Candidates]) -> None:
    print(f"{'recall@5':<22} {'questions':>9} " + " ".join(f"{name:>8}" for name, _, _ in WAYS), flush=True)
    for name, fits in ROWS:
        chosen = [one for one in found if fits(one.question)]
        cells = [recall(chosen, Weights(), words=words, meaning=meaning) for _, words, meaning in WAYS]
        best_of_all = "" if cells[2] >= max(cells) else "  both is not best"
        print(f"{name:<22} {len(chosen):>9} " + " ".join(f"{one:>8.3f}" for one in cells) + best_of_all, flush=True)


async def needless(made: Stack) -> None:
    """Count what a turn is given that no memory has to do with."""
    for language in ("en", "zh"):
        asked = [text for text, spoken in UNRELATED if spoken == language]
        given = [len(await made.memories.recall(text, 3, min_score=MIN_SCORE)) for text in asked]
        print(f"memories added to an unrelated message, {language}: {statistics.fmean(given):.2f} of 3", flush=True)


async def speed(made: Stack, questions: Sequence[Question], when: str) -> None:
    """Measure recalls as a turn asks for them."""
    took = []
    for one in questions:
        began = time.perf_counter()
        await made.memories.recall(one.text, 3, min_score=MIN_SCORE)
        took.append((time.perf_counter() - began) * 1e3)
    p50, p99 = statistics.median(took), float(np.percentile(took, 99))
    print(f"a recall at {COUNT:,} memories, {when}, p50 / p99: {p50:.1f} / {p99:.1f} ms  goal {GOAL_MS:g}", flush=True)


async def run(folder: Path, half: str) -> None:
    memories, questions = load(half)
    print(f"{len(memories):,} memories, {len(questions)} questions ({half}), {os.cpu_count()} cores", flush=True)
    async with stack(folder) as made:
        await fill(made, memories)
        table(await look(made, questions))
        await needless(made)
        await fill(made, memories, copies=COUNT // len(memories) + 1)
        await speed(made, questions[:30], "right after their import")  # the graph is built meanwhile
        await asyncio.sleep(8)
        await speed(made, questions, "at rest")


@contextmanager
def embedding() -> "Iterator[Path]":
    """Run ocg-embedding in a folder of its own."""
    models = Path(os.environ.get("OCG_DATA_DIR", "~/.ocg")).expanduser() / "models"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "data").mkdir()
        (folder / "data" / "models").symlink_to(models)
        with _service(folder):
            yield folder


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--half", choices=("tune", "report", "all"), default="report")
    given = parser.parse_args()
    with embedding() as folder:
        asyncio.run(run(folder, given.half))


if __name__ == "__main__":
    main()
