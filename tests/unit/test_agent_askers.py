"""Who asks the agent: what one asks for takes nothing from another."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ocg.agent.live import LiveTurn
from ocg.agent.queue import Limits, TurnQueue
from ocg.agent.schema import MIGRATIONS
from ocg.agent.store import Store
from ocg.database import Database
from ocg.protocol.messages import AskedBy, TurnRequest
from ocg.protocol.replies import ReplyOptions

GUEST = AskedBy(name="guest", is_owner=False)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    found = await Database.open(tmp_path / "agent.db", MIGRATIONS)
    yield found
    await found.close()


async def test_a_message_id_finds_its_askers_own_turn_and_no_other(database: Database) -> None:
    store = Store(database)
    plan = TurnRequest(message="my secret plan", message_id="77-12", session_id="private")
    owners = await store.accept(plan)
    same = TurnRequest(message="my secret plan", message_id="77-12", kind="api", asker=GUEST)
    assert await store.known(same) is None
    guests = await store.accept(same)
    assert (guests.id, guests.session_id) != (owners.id, "private")
    assert await store.known(same) == guests
    assert await store.known(plan) == owners
    assert guests.message_id == owners.message_id == "77-12"


async def test_a_message_id_cannot_be_taken_from_the_owner(database: Database) -> None:
    store = Store(database)
    await store.accept(TurnRequest(message="first", message_id="77-13", kind="api", asker=GUEST))
    assert (await store.accept(TurnRequest(message="hello", message_id="77-13"))).message == "hello"


async def test_nobody_joins_a_turn_with_anothers_rights(database: Database) -> None:
    store, queue = Store(database), TurnQueue(Limits())
    asked = [TurnRequest(message="begin", session_id="s")] + [
        TurnRequest(message="and this", session_id="s", mode="steer", asker=asker)
        for asker in (GUEST, AskedBy(name="laptop"), AskedBy())
    ]
    runs, guests, *owners = [LiveTurn(await store.accept(one)) for one in asked]
    for live in (runs, guests, *owners):
        queue.enter(live, asyncio.create_task(asyncio.sleep(60)))
    assert queue.joining(runs) == owners
    await queue.close()


async def test_a_command_keeps_no_options_which_it_does_not_have(database: Database) -> None:
    options = ReplyOptions(stop=("x" * 100_000,))
    store = Store(database)
    assert (await store.accept(TurnRequest(message="/status", options=options))).options == ReplyOptions()
    assert (await store.accept(TurnRequest(message="hello", options=options))).options == options
