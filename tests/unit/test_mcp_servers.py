"""How MCP servers are kept connected: sessions that a test plays, one after the other."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from ocg.agent.mcp import Servers, server
from ocg.agent.mcp.base import Answer, Listed
from ocg.agent.mcp.entry import Entry
from ocg.agent.mcp.file import Found, McpFile
from ocg.errors import Code, OcgError

SCHEMA = {"type": "object"}
GONE = OcgError(Code.UNAVAILABLE, "it fell over")


class Played:
    """See Session."""

    title = "played 1"
    protocol = "2025-11-25"

    def __init__(self, *names: str) -> None:
        self.news = asyncio.Event()
        self.over: OcgError | None = None
        self.names = names
        self.is_stuck = False

    async def tools(self) -> tuple[tuple[Listed, ...], bool]:
        if self.is_stuck:
            raise OcgError(Code.TIMEOUT, "it does not answer")
        return tuple(Listed(name, "", SCHEMA) for name in self.names), False

    async def call(self, name: str, arguments: Mapping[str, Any]) -> Answer:
        if self.over:
            raise self.over
        if self.is_stuck:
            await asyncio.Event().wait()
        return Answer(f"{name} {dict(arguments)}")

    def end(self) -> None:
        self.over = GONE
        self.news.set()


class Place:
    """Where servers are connected to. Who waits hears of each attempt; those that `fails` says do."""

    def __init__(self) -> None:
        self.sessions: list[Played] = []
        self.left = 0
        self.fails = False
        self.attempts: asyncio.Queue[str] = asyncio.Queue()
        self.names: tuple[str, ...] = ("echo", "add")
        self.gate = asyncio.Event()
        self.gate.set()

    @asynccontextmanager
    async def connect(self, name: str, entry: Entry) -> AsyncIterator[Played]:  # noqa: ARG002 - Connect's signature
        self.attempts.put_nowait(name)
        await self.gate.wait()
        if self.fails:
            raise OcgError(Code.UNAVAILABLE, f"{name} is not there")
        self.sessions.append(Played(*self.names))
        try:
            yield self.sessions[-1]
        finally:
            self.left += 1


@asynccontextmanager
async def serving(place: Place, **entries: Entry) -> AsyncIterator[Servers]:
    servers = Servers(McpFile(Path("/nowhere"), Path("/nowhere/env.config")), place.connect)
    await servers.apply(Found(entries))
    try:
        yield servers
    finally:
        await servers.close()


async def until(servers: Servers, state: str, name: str = "s") -> Any:
    """Wait for a state: nothing here takes any time of its own."""
    async with asyncio.timeout(20):
        while True:
            found = next(one for one in servers.list().servers if one.name == name)
            if found.state == state:
                return found
            await asyncio.sleep(0)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_FIRST_PAUSE_S", 0.0)


RUN = Entry(command="x")


async def test_tools_are_there_once_their_server_is_connected() -> None:
    place = Place()
    place.gate.clear()
    async with serving(place, s=RUN) as servers:
        assert (servers.tools(), (await until(servers, "starting")).tools) == ((), ())
        place.gate.set()
        assert [one.name for one in (await until(servers, "ready")).tools] == ["mcp_s_echo", "mcp_s_add"]
        assert [one.name for one in servers.tools()] == ["mcp_s_echo", "mcp_s_add"]
        assert await servers.tools()[0].run({"a": 1}, None) == "echo {'a': 1}"  # type: ignore[arg-type]
    assert place.left == 1


async def test_a_changed_list_is_read_again() -> None:
    place = Place()
    async with serving(place, s=RUN) as servers:
        await until(servers, "ready")
        place.sessions[0].names = ("other",)
        place.sessions[0].news.set()
        async with asyncio.timeout(20):
            while True:
                if [one.name for one in servers.tools()] == ["mcp_s_other"]:
                    break
                await asyncio.sleep(0)
    assert len(place.sessions) == 1


async def test_a_server_that_ended_is_started_again_by_the_next_call_and_not_before() -> None:
    place = Place()
    async with serving(place, s=RUN) as servers:
        await until(servers, "ready")
        (echo, _) = servers.tools()
        place.sessions[0].end()
        resting = await until(servers, "resting")
        assert (resting.why, len(resting.tools)) == ("it fell over", 2)
        for _ in range(50):
            await asyncio.sleep(0)
        assert len(place.sessions) == 1
        assert await echo.run({}, None) == "echo {}"  # type: ignore[arg-type]
        assert len(place.sessions) == 2
        assert (await until(servers, "ready")).why == ""


async def test_a_server_that_is_stuck_is_found_out_by_the_call_that_took_too_long() -> None:
    place = Place()
    async with serving(place, s=RUN) as servers:
        await until(servers, "ready")
        (echo, _) = servers.tools()
        place.sessions[0].is_stuck = True
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await echo.run({}, None)  # type: ignore[arg-type]
        assert (await until(servers, "resting")).why == "it does not answer"
        assert await echo.run({}, None) == "echo {}"  # type: ignore[arg-type]


async def test_a_server_that_is_not_there_is_tried_again_until_it_is() -> None:
    place = Place()
    place.fails = True
    async with serving(place, s=RUN) as servers:
        async with asyncio.timeout(20):
            for _ in range(3):
                await place.attempts.get()
        place.fails = False
        await until(servers, "ready")


async def test_while_a_server_is_left_alone_a_call_fails_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place()
    async with serving(place, s=RUN) as servers:
        await until(servers, "ready")
        (echo, _) = servers.tools()
        monkeypatch.setattr(server, "_FIRST_PAUSE_S", 1000.0)
        place.sessions[0].end()
        await until(servers, "failed")
        with pytest.raises(OcgError, match="it fell over") as caught:
            await echo.run({}, None)  # type: ignore[arg-type]
        assert caught.value.code is Code.UNAVAILABLE
        assert len(place.sessions) == 1


async def test_one_server_that_fails_keeps_no_other_from_its_work() -> None:
    place = Place()

    @asynccontextmanager
    async def connect(name: str, entry: Entry) -> AsyncIterator[Played]:
        if name == "bad":
            raise RuntimeError("a bug")
        async with place.connect(name, entry) as session:
            yield session

    servers = Servers(McpFile(Path("/nowhere"), Path("/nowhere/env.config")), connect)
    await servers.apply(Found({"bad": RUN, "s": RUN}))
    try:
        await until(servers, "ready")
        assert (await until(servers, "failed", "bad")).why == "a bug in OCG"
    finally:
        await servers.close()


async def test_a_reload_leaves_alone_what_is_as_it_was() -> None:
    place = Place()
    async with serving(place, s=RUN, gone=RUN, other=RUN) as servers:
        for name in ("s", "gone", "other"):
            await until(servers, "ready", name)
        await servers.apply(Found({"s": RUN, "other": Entry(command="y"), "off": Entry(command="z", disabled=True)}))
        assert place.left == 2
        await until(servers, "ready", "other")
        assert [(one.name, one.state) for one in servers.list().servers] == [
            ("off", "disabled"),
            ("other", "ready"),
            ("s", "ready"),
        ]
        assert len(place.sessions) == 4


async def test_patterns_choose_which_tools_are_offered() -> None:
    place = Place()
    entry = Entry(command="x", include_tools=("e*", "a*"), exclude_tools=("ad?",))
    async with serving(place, s=entry) as servers:
        assert [one.title for one in (await until(servers, "ready")).tools] == ["echo"]


async def test_all_servers_together_offer_no_more_than_providers_take() -> None:
    place = Place()
    place.names = tuple(f"t{number}" for number in range(60))
    async with serving(place, a=RUN, b=RUN) as servers:
        for name in ("a", "b"):
            await until(servers, "ready", name)
        assert len(servers.tools()) == 100
        first, second = servers.list().servers
        assert (len(first.tools), first.left_out, len(second.tools)) == (60, (), 40)
        assert second.left_out == ("20 tools: all servers together have 100 at the most",)


async def test_a_test_is_a_session_of_its_own() -> None:
    place = Place()
    async with serving(place, s=RUN, off=Entry(command="x", disabled=True)) as servers:
        await until(servers, "ready")
        found = await servers.test("s")
        assert (found.server, [one.title for one in found.tools]) == ("played 1", ["echo", "add"])
        assert (len(place.sessions), place.left) == (2, 1)
        assert (await servers.test("off")).name == "off"
        with pytest.raises(OcgError) as caught:
            await servers.test("nobody")
        assert caught.value.code is Code.NOT_FOUND
