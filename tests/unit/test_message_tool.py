"""Messages that the model sends: once each, and only to where the owner has been."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ocg.agent.deliveries import Deliveries
from ocg.agent.live import LiveTurn
from ocg.agent.rows import Turn
from ocg.agent.schedules import Schedules
from ocg.agent.schema import MIGRATIONS
from ocg.agent.store import Store
from ocg.agent.tools.base import Place
from ocg.agent.tools.message import MessageArguments, MessageTool
from ocg.database import Database
from ocg.errors import Code, OcgError
from ocg.protocol.messages import AskedBy, ReplyTo, TurnRequest
from ocg.protocol.schedules import ScheduleRequest
from tests.schedule_parts import PlayedClock

IRC = ReplyTo(channel="irc", address="#home")
MATRIX = ReplyTo(channel="matrix", address="@me", expires_s=60)


@dataclass(frozen=True)
class Here:
    """What the tests need."""

    database: Database
    store: Store
    deliveries: Deliveries

    async def turn(self, session_id: str = "s", reply_to: ReplyTo | None = None, **more: bool | AskedBy) -> Turn:
        request = TurnRequest(message="hi", session_id=session_id, reply_to=reply_to, **more)  # type: ignore[arg-type] # flags
        return await self.store.accept(request)

    async def send(self, turn: Turn, channel: str = "", address: str = "", call_id: str = "c") -> str:
        arguments = MessageArguments(text="done", channel=channel, address=address)
        return await MessageTool(self.deliveries).run(arguments, Place(turn, call_id, LiveTurn(turn)))

    async def sent(self) -> list[tuple[str, str]]:
        taken = [one for name in ("irc", "matrix") for one in await self.deliveries.take(name, wait_s=0)]
        for one in taken:
            await self.deliveries.settle(one.id)
        return [(one.channel, one.address) for one in taken]


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Here]:
    database = await Database.open(tmp_path / "agent.db", MIGRATIONS)
    yield Here(database, Store(database), Deliveries(database))
    await database.close()


async def test_it_goes_where_the_turn_came_from_or_its_conversation_did_or_the_owner_was_last(here: Here) -> None:
    await here.turn("s", MATRIX)
    await here.turn("other", IRC)
    assert await here.send(await here.turn("s")) == "it waits for matrix to deliver it to @me, for 1 h at the most"
    await here.send(await here.turn("new"))
    await here.send(await here.turn("new", MATRIX))
    await here.send(await here.turn("new"), channel="irc")
    await here.send(await here.turn("new"), address="@me")
    assert sorted(await here.sent()) == [("irc", "#home")] * 2 + [("matrix", "@me")] * 3


async def test_a_call_that_is_made_again_sends_nothing_more_even_when_all_was_delivered(here: Here) -> None:
    turn = await here.turn("s", IRC)
    await here.send(turn)
    await here.send(turn)
    assert await here.sent() == [("irc", "#home")]
    await here.send(turn)
    assert await here.sent() == []
    await here.send(turn, call_id="another")
    assert await here.sent() == [("irc", "#home")]


async def test_the_answer_of_the_turn_comes_beside_it(here: Here) -> None:
    turn = await here.store.begin(await here.turn("s", IRC))
    await here.send(turn)
    await here.store.finish(turn)
    assert await here.sent() == [("irc", "#home")] * 2


async def test_what_is_not_known_is_refused_with_what_is(here: Here) -> None:
    turn = await here.turn("s")
    with pytest.raises(OcgError, match="no known address") as caught:
        await here.send(turn)
    assert caught.value.hint == "none is known before the owner has written from one"
    await here.turn("s", IRC)
    await here.turn("t", ReplyTo(channel="irc", address="stranger"), is_stranger=True)
    await here.turn("t", ReplyTo(channel="irc", address="guest"), asker=AskedBy("guest", is_owner=False))
    schedules = Schedules(here.database, PlayedClock())
    await schedules.add(ScheduleRequest(name="s", when="@daily", message="m", reply_to=MATRIX))
    for address in ("stranger", "guest", "evil"):
        with pytest.raises(OcgError) as caught:
            await here.send(turn, "irc", address)
        assert caught.value.code is Code.NOT_FOUND
        assert set(caught.value.hint.removeprefix("those known are: ").split("; ")) == {"irc #home", "matrix @me"}
    await here.send(turn, "matrix")
    assert await here.sent() == [("matrix", "@me")]
