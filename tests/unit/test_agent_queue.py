"""Who has a place, and who has to come again."""

import asyncio
from contextlib import ExitStack

import pytest

from ocg.agent.queue import Limits, Place, TurnQueue
from ocg.errors import Code, OcgError
from ocg.protocol.messages import AskedBy

OWNER = AskedBy()


async def test_commands_have_places_of_their_own_and_no_more_than_messages() -> None:
    queue = TurnQueue(Limits(queued_in_session=2, queued=3))
    await asyncio.sleep(0)
    with ExitStack() as held:
        for session in ("a", "a", "b"):
            held.enter_context(queue.place(Place(session, OWNER, is_immediate=True)))
        for refused in ("a", "c"):
            with pytest.raises(OcgError) as raised, queue.place(Place(refused, OWNER, is_immediate=True)):
                pass
            assert raised.value.code is Code.BUSY
        held.enter_context(queue.place(Place("a", OWNER)))


async def test_one_token_leaves_places_to_others_and_all_of_them_some_to_the_owner() -> None:
    queue = TurnQueue(Limits(queued=6, queued_of_one=2, queued_of_others=4))
    one, two, three = (Place(None, AskedBy(name=name, is_owner=False)) for name in ("one", "two", "three"))
    with ExitStack() as held:
        for place in (one, one, two, two):
            held.enter_context(queue.place(place))
        for refused in (one, three):
            with pytest.raises(OcgError) as raised, queue.place(refused):
                pass
            assert raised.value.code is Code.BUSY
        for _ in range(2):
            held.enter_context(queue.place(Place(None, OWNER)))
        with pytest.raises(OcgError), queue.place(Place(None, OWNER)):
            pass
