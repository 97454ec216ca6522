"""`ocg mcp serve`, as the official SDK's client has it: the agent's memory and conversations, for other programs."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from mcp import Client, StdioServerParameters
from mcp_types import TextContent

from tests.provider import echoes, provider
from tests.service.agent import Agent, agent
from tests.service.gateway import environment


@pytest.fixture
def env(tmp_path: Path, free_port: int) -> Iterator[dict[str, str]]:
    with provider(echoes) as model:
        yield environment(tmp_path, free_port) | model.env | {"PATH": os.environ["PATH"]}


@pytest.fixture
def running(tmp_path: Path, env: dict[str, str]) -> Iterator[Agent]:
    with agent(tmp_path, env) as found:
        yield found


Call = Callable[..., Awaitable[tuple[str, bool]]]


@asynccontextmanager
async def client(env: dict[str, str], mode: str = "auto") -> AsyncIterator[tuple[Client, Call]]:
    """Connect as a desktop's assistant does."""
    args = ["-m", "ocg.cli", "mcp", "--manager", "direct", "serve"]
    async with Client(StdioServerParameters(command=sys.executable, args=args, env=env), mode=mode) as found:

        async def call(name: str, **arguments: object) -> tuple[str, bool]:
            result = await found.call_tool(name, arguments)
            (block,) = result.content
            assert isinstance(block, TextContent)
            return block.text, bool(result.is_error)

        yield found, call


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_memory_and_conversations_are_there_for_other_programs(env: dict[str, str], running: Agent, mode: str) -> None:
    running.say("the harbour is blue", session_id="harbour")

    async def whole() -> None:
        async with client(env, mode) as (found, call):
            listed = {one.name: one for one in (await found.list_tools()).tools}
            assert set(listed) == {
                "memory_search",
                "memory_store",
                "session_list",
                "session_read",
                "session_search",
                "ask",
            }
            assert listed["memory_search"].input_schema["required"] == ["query"]
            assert found.server_info is not None
            assert found.server_info.name == "ocg"
            assert (await call("memory_store", text="The user's cat is called Miso."))[0].startswith("remembered as ")
            said, is_error = await call("memory_search", query="what is the cat called?")
            assert ("Miso" in said, is_error) == (True, False)
            assert "harbour" in (await call("session_list"))[0]
            said, _ = await call("session_read", session="harbour")
            assert said == "user: the harbour is blue\nassistant: you said: the harbour is blue"
            said, _ = await call("session_search", query="HARBOUR is")
            assert said.splitlines()[0] == "harbour: user: the harbour is blue"

    asyncio.run(whole())
    assert running.ask("GET", "/v1/memories")[1]["memories"][0]["text"] == "The user's cat is called Miso."


def test_the_agent_itself_can_be_asked(env: dict[str, str], running: Agent) -> None:
    async def whole() -> None:
        async with client(env) as (_, call):
            said, _ = await call("ask", message="are you there?", session="mine")
            assert said == "you said: are you there?\n\n(session mine)"

    asyncio.run(whole())
    assert len(running.transcript("mine")) == 2


def test_what_goes_wrong_is_said_to_the_client_and_ends_nothing(env: dict[str, str], running: Agent) -> None:
    async def whole() -> None:
        async with client(env) as (_, call):
            said, is_error = await call("session_read", session="nowhere")
            assert (is_error, "nowhere" in said) == (True, True)
            for session in ("../memories", "a/b", "..", ""):
                assert (await call("session_read", session=session))[1]
            assert (await call("memory_search", query=""))[1]
            running.kill()
            said, is_error = await call("session_list")
            assert (is_error, "ocg start" in said or "cannot be reached" in said) == (True, True)

    asyncio.run(whole())
