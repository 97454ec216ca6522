"""Who asks the agent: what one asks for takes nothing from another."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ocg.agent.schema import MIGRATIONS
from ocg.agent.store import Store
from ocg.database import Database
from ocg.protocol.messages import AskedBy, TurnRequest

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
