"""Commands that a crash cut off: what came before a /stop is ended, what came after it runs."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

from ocg.agent.deliveries import Deliveries
from ocg.agent.factory import create_turns
from ocg.agent.memory import Memories
from ocg.agent.outbox import Outbox
from ocg.agent.providers.base import PLAIN, Model, PromptMessage, Reply, ToolSpec
from ocg.agent.schema import MIGRATIONS
from ocg.agent.store import Store
from ocg.agent.tools import Toolbox
from ocg.agent.turns import Turns
from ocg.agent.workspace import Workspace
from ocg.config import AgentSettings
from ocg.database import Database
from ocg.protocol.clients import EmbeddingClient
from ocg.protocol.events import TurnCompleted, TurnFailed
from ocg.protocol.messages import TurnRequest
from ocg.protocol.replies import ReplyOptions
from tests.agent_parts import PlayedModel


class Hanging(PlayedModel):
    """Answers all but what is to hang."""

    async def reply(
        self,
        messages: Sequence[PromptMessage],
        tools: Sequence[ToolSpec],
        *,
        max_tokens: int,
        options: ReplyOptions = PLAIN,
    ) -> AsyncGenerator[str | Reply, None]:
        if messages[-1].content == "hang":
            await asyncio.sleep(60)
        async for piece in super().reply(messages, tools, max_tokens=max_tokens, options=options):
            yield piece


def _turns(database: Database, folder: Path, provider: PlayedModel) -> Turns:
    embedding = EmbeddingClient(folder)
    return create_turns(
        database,
        memories=Memories(database, embedding, Outbox(database, embedding)),
        provider=provider,
        workspace=Workspace(folder / "workspace"),
        settings=AgentSettings(auto_recall=False),
        deliveries=Deliveries(database),
        toolbox=Toolbox([]),
    )


async def test_a_stop_that_is_taken_up_ends_what_came_before_it_and_nothing_else(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "agent.db", MIGRATIONS)
    asked = [
        TurnRequest(message=text, message_id=text.strip("/"), session_id="s") for text in ("hang", "/stop", "later")
    ]
    try:
        for request in asked:
            await Store(database).accept(request)
        turns = _turns(database, tmp_path, Hanging(Model("m", 4096)))
        await turns.resume()
        async with asyncio.timeout(5):
            ends = [[event async for event in await turns.submit(request)][-1] for request in asked]
        await turns.close()
        assert isinstance(ends[0], TurnFailed)
        assert ends[0].code == "cancelled"
        assert isinstance(ends[1], TurnCompleted)
        assert ends[1].text == "Stopped."
        assert isinstance(ends[2], TurnCompleted)
        assert ends[2].text == "ok"
    finally:
        await database.close()
