"""Memories over a real database: what is kept, what is the same, what came from an older OCG, what is captured once."""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.memory import load
from bench.memory_facts import DIFFERENT
from ocg.agent.memory import Memories
from ocg.agent.memory.ranking import Weights, best, without_repeats, wording
from ocg.agent.memory.records import Draft
from ocg.agent.outbox import Outbox
from ocg.agent.schema import MIGRATIONS
from ocg.database import Database
from ocg.errors import Code, OcgError
from ocg.protocol.clients import EmbeddingClient
from ocg.protocol.messages import MemoryRecord, MemoryRequest


@asynccontextmanager
async def memories(folder: Path) -> AsyncIterator[Memories]:
    """Memories with no ocg-embedding."""
    database = await Database.open(folder / "agent.db", MIGRATIONS)
    async with EmbeddingClient(folder) as embedding:
        yield Memories(database, embedding, Outbox(database, embedding))
    await database.close()


async def test_memories_of_an_older_ocg_are_all_there_and_found_by_names_from_code(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "agent.db")) as db:
        db.executescript(f"{MIGRATIONS[0]}; PRAGMA user_version = 1;")
        db.execute("INSERT INTO memories (id, text, kind, created_at) VALUES ('a', 'see getUserName', 'note', 5.5)")
        db.execute("INSERT INTO memory_words (rowid, words) VALUES (1, 'see getusername')")
        db.commit()
    async with memories(tmp_path) as found:
        (one,) = await found.newest(9)
        assert (one.id, one.kind, one.source, one.created_at, one.updated_at) == ("a", "note", "user", 5.5, 5.5)
        assert await found.search("user name", 9) == ()
        await found.split_anew()
        assert len(await found.search("user name", 9)) == 1


async def test_the_same_fact_again_is_the_same_memory_and_keeps_what_it_was_worth(tmp_path: Path) -> None:
    async with memories(tmp_path) as found:
        first = await found.store(MemoryRequest(text="Likes tea.", importance=0.9, tags=("drinks",)))
        again = await found.store(MemoryRequest(text="Likes tea.", importance=0.1, tags=("hot",)))
        assert (again.id, again.importance, again.tags) == (first.id, 0.9, ("drinks", "hot"))
        assert again.updated_at > first.updated_at
        assert again.created_at == first.created_at


async def test_a_turns_facts_are_kept_once_even_when_it_is_told_twice(tmp_path: Path) -> None:
    async with memories(tmp_path) as found:
        drafts = [Draft(text="One."), Draft(text="Two.")]
        assert len(await found.keep_once("turn", drafts)) == 2
        for one in await found.newest(9):
            await found.forget(one.id)
        assert await found.keep_once("turn", drafts) == ()
        assert await found.newest(9) == ()


async def test_proposals_are_bounded_and_said_again_by_the_user_they_are_accepted(tmp_path: Path) -> None:
    async with memories(tmp_path) as found:
        for number in range(200):
            await found.keep(Draft(text=f"Proposal {number}.", is_proposed=True))
        with pytest.raises(OcgError, match="wait to be accepted") as caught:
            await found.keep(Draft(text="One more.", is_proposed=True))
        assert caught.value.code is Code.BUSY
        await found.store(MemoryRequest(text="Proposal 7."))
        assert [one.text for one in await found.search("proposal 7", 9)] == ["Proposal 7."]
        assert len(await found.proposed()) == 199


async def test_an_import_takes_what_is_newer_and_changes_nothing_when_repeated(tmp_path: Path) -> None:
    records = [
        MemoryRecord(id="a", text="Old.", created_at=1.0, updated_at=1.0),
        MemoryRecord(text="No id."),
        MemoryRecord(text="No id."),
    ]
    async with memories(tmp_path) as found:
        assert (await found.take_in(records)).added == 2
        assert (await found.take_in(records)).unchanged == 3
        await found.store(MemoryRequest(text="Said by hand."))
        assert (await found.take_in([MemoryRecord(text="Said by hand.")])).unchanged == 1
        newer = MemoryRecord(id="a", text="New.", created_at=1.0, updated_at=2.0)
        assert (await found.take_in([newer])).updated == 1
        assert (await found.take_in(records)).unchanged == 3
        assert [one.text for one in await found.search("new", 9)] == ["New."]
        assert await found.search("old", 9) == ()


@pytest.mark.parametrize(
    "query",
    [
        '"',
        '" OR "',
        "a AND NOT b",
        "words:x",
        "x*",
        "NEAR(a b)",
        "(",
        "^a",
        "{a}:b",
        "-a",
        "a\x00b",
        "'; DROP TABLE memories",
    ],
)
async def test_a_hostile_query_is_only_words(tmp_path: Path, query: str) -> None:
    async with memories(tmp_path) as found:
        await found.store(MemoryRequest(text="a cat"))
        await found.search(query, 9)
        await found.recall(query, 9, min_score=0.3)
        assert [one.text for one in await found.search("cat", 9)] == ["a cat"]


async def test_a_message_of_10_mb_is_looked_up_by_its_beginning_and_holds_nobody_up(tmp_path: Path) -> None:
    async with memories(tmp_path) as found:
        await found.store(MemoryRequest(text="The zebra crossing."))
        began = time.monotonic()
        assert len(await found.recall("zebra crossing " + "word " * 2_000_000, 3, min_score=0.0)) == 1
        assert time.monotonic() - began < 2


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(st.text(min_size=1, max_size=60, alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_any_text_is_kept_as_it_is(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    async def check() -> None:
        async with memories(tmp_path_factory.mktemp("any")) as found:
            kept = await found.store(MemoryRequest(text=text))
            assert kept.text == text
            await found.search(text, 9)

    asyncio.run(check())


def _rows(*given: tuple[str, str, float, float]) -> dict[str, sqlite3.Row]:
    db = sqlite3.connect(":memory:")
    db.row_factory = sqlite3.Row
    for script in MIGRATIONS:
        db.executescript(script)
    sql = "INSERT INTO memories (id, text, kind, created_at, updated_at, importance) VALUES (?, ?, 'fact', ?, ?, ?)"
    for one, text, updated_at, importance in given:
        db.execute(sql, (one, text, updated_at, updated_at, importance))
    rows = {row["id"]: row for row in db.execute("SELECT * FROM memories")}
    db.close()
    return rows


def test_of_two_that_fit_alike_the_newer_and_the_more_important_comes_first() -> None:
    year = 365 * 86400.0
    aged = _rows(("old", "Lives in Rome.", 0.0, 0.5), ("new", "Lives in Oslo.", 2 * year, 0.5))
    near = {"old": 0.61, "new": 0.6}
    found = [one.memory.id for one in best("where", near, {}, aged, now=2 * year, weights=Weights())]
    assert found == ["new", "old"]
    weighed = _rows(("minor", "Lives in Rome.", year, 0.0), ("major", "Lives in Oslo.", year, 1.0))
    near = {"minor": 0.61, "major": 0.6}
    found = [one.memory.id for one in best("where", near, {}, weighed, now=year, weights=Weights())]
    assert found == ["major", "minor"]


def test_near_duplicates_are_found_once_and_what_only_looks_alike_twice() -> None:
    rows = _rows(
        ("a", "The user likes the tea of the north.", 1.0, 0.5),
        ("b", "The user likes tea of the north!", 1.0, 0.5),
        ("c", "The user likes the tea of the south.", 1.0, 0.5),
    )
    near = {"a": 0.9, "b": 0.8, "c": 0.7}
    found = without_repeats(best("tea", near, {}, rows, now=1.0, weights=Weights()))
    assert [one.memory.id for one in found] == ["a", "c"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("The user doesn't eat pork.", "The user does not eat pork."),
        ("Likes the tea of the north.", "likes tea of north!"),
        ("用户喜欢喝绿茶。", "用户喜欢喝绿茶"),
    ],
)
async def test_the_same_in_the_same_words_is_one_memory_in_its_newest_dress(
    tmp_path: Path, one: str, other: str
) -> None:
    async with memories(tmp_path) as found:
        first = await found.store(MemoryRequest(text=one, importance=0.9))
        again = await found.store(MemoryRequest(text=other))
        assert (again.id, again.text, again.importance) == (first.id, other, 0.9)


async def test_of_two_facts_that_look_alike_none_is_destroyed_or_left_out(tmp_path: Path) -> None:
    async with memories(tmp_path) as found:
        for pair in DIFFERENT:
            for text in pair:
                await found.store(MemoryRequest(text=text))
            assert {*pair} <= {one.text for one in await found.search(" ".join(pair), 9)}
        assert {one.text for one in await found.newest(999)} == {text for pair in DIFFERENT for text in pair}


def test_no_two_memories_of_the_set_have_one_wording() -> None:
    texts = {one.text for one in load("all")[0]}
    assert len({wording(text) for text in texts}) == len(texts) > 1000


@pytest.mark.parametrize("source", ["model", "import", "compaction"])
@pytest.mark.parametrize("text", ["Ann likes the tea.", "Ann likes tea"])
async def test_what_another_says_changes_no_memory_of_the_users(tmp_path: Path, source: str, text: str) -> None:
    async with memories(tmp_path) as found:
        kept = await found.store(MemoryRequest(text="Ann likes the tea.", importance=0.3, kind="preference"))
        said = await found.store(MemoryRequest(text=text, source=source, importance=1.0, tags=("new",)))
        assert said == kept
        assert await found.newest(9) == (kept,)


async def test_the_users_address_stays_beside_what_the_model_says_of_it(tmp_path: Path) -> None:
    mine, its = (f"Invoices are paid to the account at invoices@{one}.com." for one in ("acme", "acme-billing"))
    async with memories(tmp_path) as found:
        kept = await found.store(MemoryRequest(text=mine, importance=0.9))
        await found.store(MemoryRequest(text=its, source="model"))
        assert [(one.text, one.source) for one in await found.newest(9)] == [(its, "model"), (mine, "user")]
        assert kept in await found.newest(9)


async def test_what_the_user_says_himself_becomes_the_users(tmp_path: Path) -> None:
    async with memories(tmp_path) as found:
        for text, said in (("Ann likes tea.", "Ann likes the tea."), ("Ben sails.", "Ben sails.")):
            first = await found.store(MemoryRequest(text=text, source="model", importance=1.0, tags=("old",)))
            again = await found.store(MemoryRequest(text=said, kind="note", importance=0.2))
            assert (again.id, again.text, again.tags) == (first.id, said, ("old",))
            assert (again.source, again.kind, again.importance) == ("user", "note", 0.2)


async def test_what_the_model_says_accepts_no_proposal(tmp_path: Path) -> None:
    async with memories(tmp_path) as found:
        await found.keep(Draft(text="Ann likes tea.", is_proposed=True))
        await found.store(MemoryRequest(text="Ann likes tea.", source="model"))
        assert [one.source for one in await found.newest(9)] == ["model"]
        assert [one.source for one in await found.proposed()] == ["user"]


async def test_an_import_changes_a_memory_of_the_users_only_by_a_line_of_the_users(tmp_path: Path) -> None:
    async with memories(tmp_path) as found:
        kept = await found.store(MemoryRequest(text="Paid to A."))
        assert (await found.take_in([MemoryRecord(id=kept.id, text="Paid to B.")])).unchanged == 1
        assert await found.newest(9) == (kept,)
        mine = MemoryRecord(id=kept.id, text="Paid to C.", source="user")
        assert (await found.take_in([mine])).updated == 1


async def test_the_same_said_at_once_by_many_is_one_memory(tmp_path: Path) -> None:
    async with memories(tmp_path) as found:
        await asyncio.gather(*(found.store(MemoryRequest(text="Said at once.")) for _ in range(20)))
        assert len(await found.newest(99)) == 1
