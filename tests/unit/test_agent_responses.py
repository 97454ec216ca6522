"""Responses are kept while somebody uses them, and a conversation of them is whole or refused."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from ocg.agent.responses import Bounds, Responses
from ocg.agent.schema import MIGRATIONS
from ocg.database import Database
from ocg.errors import Code, OcgError
from ocg.protocol.responses import Chain, KeptResponse, Link

DAY_S = 86400.0
SIZE = len("{}") + len('["a"]') + len('[{"id":"a","type":"message"}]')


def _made(text: str, previous: str | None = None, owner: str = "ann") -> KeptResponse:
    """A response to a text, which it repeats as an item of that id."""
    return KeptResponse(
        owner=owner,
        head=msgspec.Raw(b"{}"),
        input=msgspec.Raw(msgspec.json.encode([text])),
        output=msgspec.Raw(msgspec.json.encode([{"id": text, "type": "message"}])),
        previous_id=previous,
    )


def _said(chain: Chain) -> list[str]:
    return [msgspec.json.decode(link.input)[0] for link in chain.links]


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    found = await Database.open(tmp_path / "agent.db", MIGRATIONS)
    yield found
    await found.close()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which a test sets."""
    now = [time.time()]
    monkeypatch.setattr("ocg.agent.responses.time.time", lambda: now[0])
    return now


async def _is_kept(responses: Responses, response_id: str) -> bool:
    try:
        await responses.get(response_id)
    except OcgError:
        return False
    return True


async def _code(responses: Responses, response_id: str) -> Code:
    with pytest.raises(OcgError) as caught:
        await responses.chain(response_id)
    return caught.value.code


async def test_what_is_kept_comes_back_as_it_was(database: Database) -> None:
    responses, made = Responses(database), _made('nul \x00 and "quotes"', "before")
    await responses.keep("one", made)
    await responses.keep("one", _made("a repeat of the request changes nothing"))
    assert await responses.get("one") == made


async def test_a_conversation_comes_oldest_first_with_the_owner_of_its_last(database: Database) -> None:
    responses = Responses(database)
    await responses.keep("one", _made("a"))
    await responses.keep("two", _made("b", "one"))
    await responses.keep("other", _made("x", "one"))
    await responses.keep("three", _made("c", "two", owner="bob"))
    chain = await responses.chain("three")
    assert (_said(chain), chain.owner) == (["a", "b", "c"], "bob")
    assert chain.links[0] == Link(input=msgspec.Raw(b'["a"]'), output=msgspec.Raw(b'[{"id":"a","type":"message"}]'))


async def test_a_conversation_that_lost_a_part_is_refused_and_not_told_shortened(database: Database) -> None:
    responses = Responses(database)
    await responses.keep("one", _made("a"))
    await responses.keep("two", _made("b", "one"))
    await responses.delete("one")
    assert await _code(responses, "two") is await _code(responses, "none") is Code.PREVIOUS_UNKNOWN
    for ask in (responses.get, responses.delete):
        with pytest.raises(OcgError) as caught:
            await ask("one")
        assert caught.value.code is Code.NOT_FOUND


async def test_a_conversation_without_end_is_refused(database: Database) -> None:
    responses = Responses(database, Bounds(chain=3))
    await responses.keep("one", _made("a", "two"))
    await responses.keep("two", _made("b", "one"))
    assert await _code(responses, "two") is Code.TOO_LARGE
    narrow = Responses(database, Bounds(chain_bytes=1))
    await narrow.keep("three", _made("c"))
    assert await _code(narrow, "three") is Code.TOO_LARGE
    with pytest.raises(OcgError) as caught:
        await narrow.items(["c"])
    assert caught.value.code is Code.TOO_LARGE


async def test_whoever_goes_on_from_a_response_keeps_all_before_it(database: Database, clock: list[float]) -> None:
    responses = Responses(database)
    await responses.keep("one", _made("a"))
    await responses.keep("alone", _made("x"))
    await responses.keep("two", _made("b", "one"))
    clock[0] += 20 * DAY_S
    await responses.chain("two")
    clock[0] += 20 * DAY_S
    await responses.keep("later", _made("y"))
    assert _said(await responses.chain("two")) == ["a", "b"]
    assert await _code(responses, "alone") is Code.PREVIOUS_UNKNOWN


@pytest.mark.parametrize("bounds", [Bounds(number=2), Bounds(bytes=2 * SIZE)])
async def test_of_too_many_those_go_that_were_used_longest_ago(
    database: Database, clock: list[float], bounds: Bounds
) -> None:
    responses = Responses(database, bounds)
    for name in ("a", "b", "c"):
        clock[0] += DAY_S
        await responses.keep(name, _made(name))
        if name == "b":
            clock[0] += DAY_S
            await responses.chain("a")
    assert _said(await responses.chain("a")) == ["a"]
    assert _said(await responses.chain("c")) == ["c"]
    assert await _code(responses, "b") is Code.PREVIOUS_UNKNOWN


@pytest.mark.parametrize("bounds", [Bounds(number=5), Bounds(bytes=5 * SIZE)])
async def test_who_has_the_most_makes_room_and_nobody_who_has_less(
    database: Database, clock: list[float], bounds: Bounds
) -> None:
    responses = Responses(database, bounds)
    kept = [("a", "ann"), ("b", "ann"), *((name, "mallory") for name in "cdefg"), ("h", "bob")]
    for name, owner in kept:
        clock[0] += 60
        await responses.keep(name, _made(name, owner=owner))
    assert [name for name, _ in kept if await _is_kept(responses, name)] == ["a", "b", "f", "g", "h"]


async def test_one_who_is_alone_may_have_all_the_room(database: Database) -> None:
    responses = Responses(database, Bounds(number=3))
    for name in "abcd":
        await responses.keep(name, _made(name))
    assert [name for name in "abcd" if await _is_kept(responses, name)] == ["b", "c", "d"]


async def test_an_item_is_found_by_its_id_and_goes_with_its_response(database: Database, clock: list[float]) -> None:
    responses = Responses(database)
    for name in ("one", "two"):
        await responses.keep(name, _made(f"item-{name}", owner=name))
    clock[0] += 20 * DAY_S
    (found,) = await responses.items(["item-two", "none"])
    assert (found.id, found.owner, bytes(found.item)) == ("item-two", "two", b'{"id":"item-two","type":"message"}')
    clock[0] += 20 * DAY_S
    await responses.keep("later", _made("item-later"))
    assert [one.id for one in await responses.items(["item-one", "item-two"])] == ["item-two"]
    await responses.delete("two")
    assert await responses.items(["item-two"]) == ()
