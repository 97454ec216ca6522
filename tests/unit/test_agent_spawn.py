"""Sub-agents from within: what is counted, what is not learnt from them, and that no full queue has all wait."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from ocg.agent.archive import Archive
from ocg.agent.deliveries import Deliveries
from ocg.agent.factory import create_turns
from ocg.agent.memory import Memories
from ocg.agent.memory.capture import Capture
from ocg.agent.outbox import Outbox
from ocg.agent.providers.base import PLAIN, Model, PromptMessage, Reply, ToolSpec
from ocg.agent.queue import Limits
from ocg.agent.rows import Turn
from ocg.agent.schema import MIGRATIONS
from ocg.agent.spawned import Spawned
from ocg.agent.tools import Toolbox
from ocg.agent.turns import Turns
from ocg.agent.workspace import Workspace
from ocg.config import AgentSettings
from ocg.database import Database
from ocg.errors import Code
from ocg.protocol.clients import EmbeddingClient
from ocg.protocol.events import TurnCompleted, TurnFailed
from ocg.protocol.messages import ToolUse, TurnError, TurnRequest, Usage
from ocg.protocol.replies import ReplyOptions
from tests.agent_parts import PlayedModel

_TASK = '{"tasks": ["My name is Ada. I live in Paris."]}'


class SpawningModel(PlayedModel):
    """Has a sub-agent, which has no tools, do its task, and tells what that says. Each reply takes 11 tokens."""

    async def reply(
        self,
        messages: Sequence[PromptMessage],
        tools: Sequence[ToolSpec],
        *,
        max_tokens: int,  # noqa: ARG002 - Provider's signature
        options: ReplyOptions = PLAIN,  # noqa: ARG002 - as above
    ) -> AsyncGenerator[str | Reply, None]:
        usage = Usage(prompt_tokens=10, completion_tokens=1)
        if messages[-1].role == "tool":
            yield Reply(f"told: {messages[-1].content}", usage=usage)
        elif tools:
            yield Reply("", (ToolUse(id="c", name="spawn", arguments=_TASK),), usage=usage)
        else:
            yield Reply("I see.", usage=usage)


@dataclass(frozen=True)
class Here:
    """What the tests look at."""

    turns: Turns
    archive: Archive
    memories: Memories
    capture: Capture

    async def ask(self, message: str) -> TurnCompleted:
        """Have a turn done in the session `s`."""
        last = [event async for event in await self.turns.submit(TurnRequest(message=message, session_id="s"))][-1]
        assert isinstance(last, TurnCompleted), last
        return last


@asynccontextmanager
async def _agent(folder: Path, **limits: int) -> AsyncIterator[Here]:
    database = await Database.open(folder / "agent.db", MIGRATIONS)
    settings = AgentSettings(auto_recall=False, auto_capture="on")
    async with EmbeddingClient(folder) as embedding:
        memories = Memories(database, embedding, Outbox(database, embedding))
        capture = Capture(memories, PlayedModel(Model("m", 1000, takes_tools=False)), settings)
        turns = create_turns(
            database,
            memories=memories,
            provider=SpawningModel(Model("spawning", 100_000)),
            workspace=Workspace(folder / "workspace"),
            settings=settings,
            deliveries=Deliveries(database),
            toolbox=Toolbox([]),
            capture=capture,
            limits=Limits(**limits),
        )
        yield Here(turns, Archive(database), memories, capture)
        await turns.close()
    await database.close()


async def test_what_it_takes_is_counted_once(tmp_path: Path) -> None:
    async with _agent(tmp_path) as here:
        last = await here.ask("go")
        assert "I see." in last.text
        assert last.usage.total_tokens == 33
        assert (await here.archive.usage(session_id="s")).total_tokens == 33
        assert (await here.archive.usage()).total_tokens == 33


async def test_what_it_is_told_is_no_word_of_the_users(tmp_path: Path) -> None:
    async with _agent(tmp_path) as here:
        working = asyncio.create_task(here.capture.run_for_ever())
        await here.ask("I live in Rome.")
        await here.capture.idle()
        working.cancel()
        await asyncio.wait({working})
        assert [one.text for one in await here.memories.newest(10)] == ["The user said: I live in Rome."]
        sql = "SELECT session_id FROM turns ORDER BY seq"
        found = await here.archive._database.read(lambda db: [row[0] for row in db.execute(sql)])
        assert [await here.archive.is_owners(session_id) for session_id in found] == [True, False]


async def test_where_too_much_waits_it_is_told_so_and_has_nobody_wait(tmp_path: Path) -> None:
    async with _agent(tmp_path, queued=1) as here:
        last = await here.ask("go")
    assert "error: 1 messages wait already" in last.text


async def test_one_is_not_taken_up_for_a_turn_that_is_over(tmp_path: Path) -> None:
    async with _agent(tmp_path) as here:
        store = here.turns._store
        askers = [await store.accept(TurnRequest(message="go", session_id=name)) for name in ("over", "goes on")]
        turns = [await store.accept(TurnRequest(message="do it", kind="api"), _spawned(one)) for one in askers]
        await store.finish(askers[0], TurnError(Code.CANCELLED, "cancelled"))
        await here.turns.resume()
        ends = [[event async for event in await here.turns.follow(one.id, 0)][-1] for one in turns]
        assert [type(one) for one in ends] == [TurnFailed, TurnCompleted]
        assert "the turn that asked for it is over" in str(ends[0])


def _spawned(asker: Turn) -> Spawned:
    return Spawned(turn_id=asker.id, session_id="s", channel="", depth=1, tools=(), steps=3, time_s=60.0)
