"""Texts that wait to be embedded: each once, in turn, within bounds, and only as long as somebody waits."""

import asyncio

import pytest

from ocg.embedding.encoder.texts import Embedded, Failed, Outcome, Text, TextQueue
from ocg.errors import Code, OcgError

_ANY = Embedded(vector=None, tokens=1)  # type: ignore[arg-type] # what is in it is nobody's business here
_ALL = 1 << 20


def _taken(queue: TextQueue, room: int = _ALL, most: int = _ALL) -> list[bytes]:
    return [text.data for text in queue.take(room, most)]


def _tell(queue: TextQueue, texts: list[Text], outcome: Outcome = _ANY) -> None:
    queue.tell(texts, [outcome] * len(texts))


async def test_a_text_that_two_ask_for_is_computed_once_and_told_to_both() -> None:
    queue = TextQueue(max_texts=10)
    one, other = queue.add([b"same", b"mine"], truncate=False), queue.add([b"same"], truncate=False)
    taken = queue.take(_ALL, _ALL)
    assert sorted(text.data for text in taken) == [b"mine", b"same"]
    _tell(queue, taken)
    assert await one.done is None
    assert await other.done is None
    assert one.texts[0] is other.texts[0]


async def test_one_asked_for_while_a_lane_has_it_is_still_computed_once() -> None:
    queue = TextQueue(max_texts=10)
    queue.add([b"same"], truncate=False)
    taken = queue.take(_ALL, _ALL)
    late = queue.add([b"same"], truncate=False)
    assert _taken(queue) == []
    _tell(queue, taken)
    assert await late.done is None


async def test_its_beginning_is_another_text() -> None:
    queue = TextQueue(max_texts=10)
    queue.add([b"long"], truncate=False)
    queue.add([b"long"], truncate=True)
    assert _taken(queue) == [b"long", b"long"]


async def test_a_long_list_does_not_hold_up_who_asks_for_one_text() -> None:
    queue = TextQueue(max_texts=1000)
    queue.add([b"%d" % number for number in range(500)], truncate=False)
    queue.add([b"mine"], truncate=False)
    assert b"mine" in _taken(queue, most=2)


async def test_a_batch_has_about_as_many_tokens_as_there_is_room_for_and_one_text_at_least() -> None:
    queue = TextQueue(max_texts=10)
    queue.add([b"x" * 400, b"y" * 40, b"z" * 40, b"w" * 40], truncate=False)
    assert _taken(queue, room=30) == [b"x" * 400]
    assert _taken(queue, room=30) == [b"y" * 40, b"z" * 40]
    assert _taken(queue, room=30) == [b"w" * 40]
    assert queue.is_empty


async def test_what_nobody_waits_for_any_more_is_not_computed() -> None:
    queue = TextQueue(max_texts=10)
    gone = queue.add([b"only theirs", b"both"], truncate=False)
    stays = queue.add([b"both"], truncate=False)
    queue.leave(gone)
    taken = queue.take(_ALL, _ALL)
    assert [text.data for text in taken] == [b"both"]
    _tell(queue, taken)
    assert await stays.done is None


async def test_who_asks_again_after_everybody_left_is_heard() -> None:
    queue = TextQueue(max_texts=10)
    queue.leave(queue.add([b"again"], truncate=False))
    queue.add([b"again"], truncate=False)
    assert _taken(queue) == [b"again"]


async def test_a_failure_ends_the_wait_of_those_who_asked_for_it_and_of_nobody_else() -> None:
    queue = TextQueue(max_texts=10)
    theirs, mine = queue.add([b"bad", b"good"], truncate=False), queue.add([b"good"], truncate=False)
    bad, good = queue.take(_ALL, _ALL)
    _tell(queue, [bad], Failed())
    assert await theirs.done is bad
    assert not mine.done.done()
    queue.leave(theirs)
    _tell(queue, [good])
    assert await mine.done is None


async def test_what_is_too_much_is_refused_and_takes_no_place() -> None:
    queue = TextQueue(max_texts=3)
    waits = queue.add([b"a", b"b"], truncate=False)
    with pytest.raises(OcgError) as refused:
        queue.add([b"c", b"d"], truncate=False)
    assert refused.value.code is Code.BUSY
    queue.add([b"c"], truncate=False)
    assert _taken(queue) == [b"a", b"c", b"b"]
    assert not waits.done.done()


async def test_one_that_is_more_than_the_bound_has_its_chance_when_nothing_else_waits() -> None:
    queue = TextQueue(max_texts=3)
    request = queue.add([b"a", b"b", b"c", b"d"], truncate=False)
    assert len(_taken(queue)) == 4
    queue.leave(request)
    queue.add([b"e"], truncate=False)
    await asyncio.sleep(0)
