"""Looking back: the model sees the owner's conversations, and nobody else's."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ocg.agent.conversations import Conversations
from ocg.agent.providers.base import Model
from ocg.agent.tools.base import Place
from ocg.agent.tools.sessions import SessionsArguments, SessionsTool
from ocg.errors import Code, OcgError
from ocg.protocol.messages import AskedBy, TurnRequest
from tests.agent_parts import Parts, PlayedModel, parts, place_of


@pytest.fixture
async def made(tmp_path: Path) -> AsyncIterator[Parts]:
    async with parts(tmp_path, PlayedModel(Model("m", 1000))) as found:
        await found.exchange("The boiler's code is 50%_x.", "I see.", "boiler")
        await found.exchange(
            "What of the garden?", f"{'Plant. ' * 100}The Boiler is outside.{' Water.' * 500}", "garden"
        )
        await found.store.accept(TurnRequest(message="boiler secrets", session_id="stranger", is_stranger=True))
        guest = AskedBy(name="guest", is_owner=False)
        await found.store.accept(TurnRequest(message="boiler secrets", session_id="guest.1", asker=guest))
        await found.store.accept(TurnRequest(message="boiler secrets", session_id="api", kind="api"))
        for session_id in ("stranger", "guest.1", "api"):
            for turn in await found.store.unfinished():
                if turn.session_id == session_id:
                    await found.store.begin(turn)
        yield found


@pytest.fixture
async def place(made: Parts) -> Place:
    return place_of(await made.turn("look", "now"))


def _tool(made: Parts) -> SessionsTool:
    return SessionsTool(Conversations(made.store._database))


async def test_the_owners_are_listed_the_latest_first(made: Parts, place: Place) -> None:
    lines = (await _tool(made).run(SessionsArguments(action="list"), place)).splitlines()
    assert [line.partition(":")[0] for line in lines] == ["now", "garden", "boiler"]
    assert "What of the garden? (2 messages, 20" in lines[1]


async def test_one_is_read_in_parts_and_long_messages_are_cut(made: Parts, place: Place) -> None:
    tool = _tool(made)
    whole = await tool.run(SessionsArguments(action="read", id="garden"), place)
    first, second = whole.split("\n", 1)
    assert "user" in first
    assert first.endswith("What of the garden?")
    assert "assistant" in second
    assert len(second) < 2200
    number = int(second[1 : second.index("]")])
    assert await tool.run(SessionsArguments(action="read", id="garden", before=number), place) == first


@pytest.mark.parametrize("session_id", ["stranger", "guest.1", "api", "gone", ""])
async def test_what_others_said_is_neither_read_nor_found(made: Parts, place: Place, session_id: str) -> None:
    tool = _tool(made)
    with pytest.raises(OcgError) as caught:
        await tool.run(SessionsArguments(action="read", id=session_id), place)
    assert caught.value.code is Code.NOT_FOUND
    assert await tool.run(SessionsArguments(action="search", query="secrets"), place) == "there is nothing"


async def test_a_search_finds_all_words_in_any_case_and_shows_where(made: Parts, place: Place) -> None:
    tool = _tool(made)
    lines = (await tool.run(SessionsArguments(action="search", query="BOILER"), place)).splitlines()
    assert [line.split()[0] for line in lines] == ["garden", "boiler"]
    assert "The Boiler is outside." in lines[0]
    assert len(lines[0]) < 450
    assert (await tool.run(SessionsArguments(action="search", query="boiler 50%_x"), place)).startswith("boiler ")
    assert await tool.run(SessionsArguments(action="search", query="boiler 5%x"), place) == "there is nothing"
    with pytest.raises(OcgError, match="the query is empty"):
        await tool.run(SessionsArguments(action="search", query=" "), place)
