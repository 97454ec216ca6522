"""Browsers by conversation: whose action goes where, and what ends them. The other end is played here."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest

from ocg.agent.confinement import Confined
from ocg.agent.confinement.refusal import Refusal
from ocg.agent.tools.web import browser
from ocg.agent.tools.web.browser import Browsers
from ocg.errors import Code, OcgError
from ocg.protocol import frames
from ocg.protocol.tooling import Action, Browse, Cage, Failure, Request

_OPEN = Action("open", url="https://h/")
_LOOK = Action("snapshot")


class Peer:
    """A browser's process, as the agent sees it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def asked(self) -> Action:
        kind, size = frames.HEADER.unpack(await self.reader.readexactly(frames.HEADER.size))
        assert kind == frames.INPUT
        return msgspec.json.decode(await self.reader.readexactly(size), type=Action)

    def answers(self, text: str) -> None:
        self.writer.write(frames.frame(frames.RESULT, text.encode()))

    def fails(self, why: str) -> None:
        failure = msgspec.json.encode(Failure(Code.UNAVAILABLE, why))
        self.writer.write(frames.frame(frames.FAILURE, failure))


class Cages:
    """See Confinement: gives a peer for each that is opened."""

    name = "played"

    def __init__(self) -> None:
        self.peers: asyncio.Queue[Peer] = asyncio.Queue()
        self.requests: list[tuple[Cage, Request]] = []

    @asynccontextmanager
    async def open(self, cage: Cage, request: Request) -> AsyncIterator[Confined]:
        self.requests.append((cage, request))
        ours, its = socket.socketpair()
        reader, writer = await asyncio.open_connection(sock=ours)
        peer = Peer(*await asyncio.open_connection(sock=its))
        self.peers.put_nowait(peer)
        try:
            yield Confined(reader, writer)
        finally:
            for one in (writer, peer.writer):
                one.close()
                await one.wait_closed()


@pytest.fixture
def cages() -> Cages:
    """Where they are opened."""
    return Cages()


@pytest.fixture
async def browsers(cages: Cages) -> AsyncIterator[Browsers]:
    """The browsers of an agent."""
    found = Browsers(cages, ("nas.lan",))
    yield found
    await found.close()


async def opened(browsers: Browsers, cages: Cages, session: str = "s") -> Peer:
    """Open a page in a session's browser."""
    done = asyncio.create_task(browsers.do(session, _OPEN))
    peer = await cages.peers.get()
    assert await peer.asked() == _OPEN
    peer.answers("opened")
    assert await done == "opened"
    return peer


async def test_each_conversation_has_its_own_in_a_cage_with_the_network(browsers: Browsers, cages: Cages) -> None:
    one, other = await opened(browsers, cages, "a"), await opened(browsers, cages, "b")
    for session, peer in (("b", other), ("a", one)):
        done = asyncio.create_task(browsers.do(session, _LOOK))
        assert await peer.asked() == _LOOK
        peer.answers(f"the page of {session}")
        assert await done == f"the page of {session}"
    assert cages.requests == [(Cage.NET, Browse(("nas.lan",)))] * 2


async def test_a_page_has_to_be_opened_first(browsers: Browsers, cages: Cages) -> None:
    with pytest.raises(OcgError, match="no page is open"):
        await browsers.do("s", _LOOK)
    assert cages.requests == []


async def test_there_are_three_at_the_most_and_closing_one_makes_room(browsers: Browsers, cages: Cages) -> None:
    for session in "abc":
        await opened(browsers, cages, session)
    with pytest.raises(OcgError) as caught:
        await browsers.do("d", _OPEN)
    assert caught.value.code is Code.BUSY
    assert await browsers.do("a", Action("close")) == "closed"
    await opened(browsers, cages, "d")


async def test_an_action_that_fails_leaves_the_page_open(browsers: Browsers, cages: Cages) -> None:
    peer = await opened(browsers, cages)
    for answer in ("fails", "answers"):
        done = asyncio.create_task(browsers.do("s", _LOOK))
        await peer.asked()
        getattr(peer, answer)("it is so")
        if answer == "fails":
            with pytest.raises(OcgError, match="it is so"):
                await done
        else:
            assert await done == "it is so"


async def test_one_that_does_not_start_is_not_open(browsers: Browsers, cages: Cages) -> None:
    done = asyncio.create_task(browsers.do("s", _OPEN))
    (await cages.peers.get()).fails("Chromium does not start here")
    with pytest.raises(OcgError, match="does not start"):
        await done
    await opened(browsers, cages)


async def test_one_that_dies_is_said_and_can_be_opened_again(browsers: Browsers, cages: Cages) -> None:
    peer = await opened(browsers, cages)
    done = asyncio.create_task(browsers.do("s", _LOOK))
    await peer.asked()
    peer.writer.close()
    with pytest.raises(OcgError, match="ended before it had answered"):
        await done
    await opened(browsers, cages)


async def test_an_answer_that_nobody_waits_for_is_not_taken_for_the_next(browsers: Browsers, cages: Cages) -> None:
    peer = await opened(browsers, cages)
    first = asyncio.create_task(browsers.do("s", _LOOK))
    await peer.asked()
    first.cancel()
    second = asyncio.create_task(browsers.do("s", Action("text")))
    peer.answers("of the first")
    assert (await peer.asked()).action == "text"
    peer.answers("of the second")
    assert await second == "of the second"


async def test_one_that_a_page_holds_up_is_ended_and_can_be_opened_again(
    browsers: Browsers, cages: Cages, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck = await opened(browsers, cages)
    monkeypatch.setattr(browser, "_ACT_S", 0.1)
    waiting = [asyncio.create_task(browsers.do("s", action)) for action in (_LOOK, Action("close"))]
    for one in waiting:
        with pytest.raises(OcgError, match="held the browser up"):
            await one
    assert (await stuck.asked(), await stuck.reader.read()) == (_LOOK, b"")
    monkeypatch.setattr(browser, "_ACT_S", 20.0)
    await opened(browsers, cages)


async def test_where_nothing_confines_the_reason_is_told() -> None:
    found = Browsers(Refusal("there is no bubblewrap", "install it"), ())
    with pytest.raises(OcgError, match="bubblewrap"):
        await found.do("s", _OPEN)
    await found.close()


async def test_a_conversation_that_is_deleted_has_none_any_more(browsers: Browsers, cages: Cages) -> None:
    gone, kept = await opened(browsers, cages, "a"), await opened(browsers, cages, "b")
    browsers.end_session("a")
    browsers.end_session("never there")
    assert await gone.reader.read() == b""
    with pytest.raises(OcgError, match="no page is open"):
        await browsers.do("a", _LOOK)
    done = asyncio.create_task(browsers.do("b", _LOOK))
    await kept.asked()
    kept.answers("still there")
    assert await done == "still there"


async def test_whoever_waits_is_told_when_the_agent_ends(browsers: Browsers, cages: Cages) -> None:
    peer = await opened(browsers, cages)
    waiting = [asyncio.create_task(browsers.do("s", _LOOK)) for _ in range(3)]
    await peer.asked()
    await browsers.close()
    for one in waiting:
        with pytest.raises(OcgError, match="the browser was closed"):
            await one
