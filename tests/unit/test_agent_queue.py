"""Who has a place, and who has to come again."""

import asyncio
from contextlib import ExitStack

import pytest

from ocg.agent.queue import Limits, TurnQueue
from ocg.errors import Code, OcgError


async def test_commands_have_places_of_their_own_and_no_more_than_messages() -> None:
    queue = TurnQueue(Limits(queued_in_session=2, queued=3))
    await asyncio.sleep(0)
    with ExitStack() as held:
        for session in ("a", "a", "b"):
            held.enter_context(queue.place(session, is_immediate=True))
        for refused in ("a", "c"):
            with pytest.raises(OcgError) as raised, queue.place(refused, is_immediate=True):
                pass
            assert raised.value.code is Code.BUSY
        held.enter_context(queue.place("a"))
