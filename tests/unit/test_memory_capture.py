"""Capturing beside a model that is too small to be asked, and when more comes than can be worked through."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ocg.agent.memory import Memories
from ocg.agent.memory.capture import Capture
from ocg.agent.outbox import Outbox
from ocg.agent.providers.base import PLAIN, Model, PromptMessage, Reply, ToolSpec
from ocg.agent.rows import Turn
from ocg.agent.schema import MIGRATIONS
from ocg.agent.store import Store
from ocg.config import AgentSettings
from ocg.database import Database
from ocg.protocol.clients import EmbeddingClient
from ocg.protocol.messages import TurnRequest
from ocg.protocol.replies import ReplyOptions


class SmallModel:
    """A model that must not be asked."""

    name = model_name = "small"

    async def model(self) -> Model:
        return Model("small", 2048, takes_tools=False, is_small=True)

    async def count(self, texts: Sequence[str]) -> list[int] | None:  # noqa: ARG002 - Provider's signature
        return None

    async def reply(
        self,
        messages: Sequence[PromptMessage],  # noqa: ARG002 - Provider's signature
        tools: Sequence[ToolSpec],  # noqa: ARG002 - as above
        *,
        max_tokens: int,  # noqa: ARG002 - as above
        options: ReplyOptions = PLAIN,  # noqa: ARG002 - as above
    ) -> AsyncGenerator[str | Reply, None]:
        raise AssertionError("it was asked")
        yield ""

    async def close(self) -> None:
        pass


@asynccontextmanager
async def capturing(folder: Path) -> AsyncIterator[tuple[Capture, Memories, Store]]:
    """A capture over a real database."""
    database = await Database.open(folder / "agent.db", MIGRATIONS)
    async with EmbeddingClient(folder) as embedding:
        memories = Memories(database, embedding, Outbox(database, embedding))
        yield Capture(memories, SmallModel(), AgentSettings(auto_capture="on")), memories, Store(database)
    await database.close()


async def _accepted(store: Store, message: str) -> Turn:
    return await store.accept(TurnRequest(message=message))


async def _captured(capture: Capture) -> None:
    """Let it work through what waits."""
    task = asyncio.create_task(capture.run_for_ever())
    async with asyncio.timeout(10):
        await capture.idle()
    task.cancel()
    await asyncio.wait({task})


async def test_a_small_model_is_not_asked_and_patterns_do(tmp_path: Path) -> None:
    async with capturing(tmp_path) as (capture, memories, store):
        await capture.after_turn(await _accepted(store, "我对青霉素过敏。 I live in Gdansk. What is 2 + 2?"))
        await _captured(capture)
        texts = {one.text for one in await memories.newest(9)}
        assert texts == {"用户说：我对青霉素过敏。", "The user said: I live in Gdansk."}


async def test_a_turn_that_is_told_twice_is_captured_once(tmp_path: Path) -> None:
    async with capturing(tmp_path) as (capture, memories, store):
        turn = await _accepted(store, "I live in Gdansk.")
        await capture.after_turn(turn)
        await _captured(capture)
        (one,) = await memories.newest(9)
        await memories.forget(one.id)
        await capture.after_turn(turn)
        await _captured(capture)
        assert await memories.newest(9) == ()


async def test_more_than_can_wait_is_left_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with capturing(tmp_path) as (capture, _, store):
        turn = await _accepted(store, "I live in Gdansk.")
        for _ in range(101):
            await capture.after_turn(turn)
        assert "no facts are captured, 100 turns wait already" in caplog.text
