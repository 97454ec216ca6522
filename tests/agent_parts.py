"""Parts of an agent over a real database, with a model that a test plays: no process, no network."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from ocg.agent.archive import Archive
from ocg.agent.budget import Counter
from ocg.agent.compaction import Compactor
from ocg.agent.live import LiveTurn
from ocg.agent.memory import Memories
from ocg.agent.outbox import Outbox
from ocg.agent.prompting import Prompter
from ocg.agent.providers.base import PLAIN, Model, PromptMessage, Reply, ToolSpec
from ocg.agent.rows import Entry, Turn
from ocg.agent.schema import MIGRATIONS
from ocg.agent.skills import Skills
from ocg.agent.store import Store
from ocg.agent.tools.base import Place
from ocg.agent.workspace import Workspace
from ocg.database import Database
from ocg.protocol.clients import EmbeddingClient
from ocg.protocol.messages import Message, TurnRequest, Usage
from ocg.protocol.replies import ReplyOptions

Answer = Callable[[Sequence[PromptMessage]], str]


class PlayedModel:
    """A provider that a test plays. A token is so many characters, and it says so; with 0 it says nothing."""

    name = "played"

    def __init__(self, model: Model, answer: Answer = lambda _: "ok", *, token_chars: int = 1) -> None:
        self.played = model
        self.answer = answer
        self.token_chars = token_chars
        self.asked: list[Sequence[PromptMessage]] = []
        self.counted: list[str] = []

    @property
    def model_name(self) -> str:
        return self.played.name

    async def model(self) -> Model:
        return self.played

    async def count(self, texts: Sequence[str]) -> list[int] | None:
        self.counted += texts
        return [-(-len(text) // self.token_chars) for text in texts] if self.token_chars else None

    async def close(self) -> None:
        pass

    async def reply(
        self,
        messages: Sequence[PromptMessage],
        tools: Sequence[ToolSpec],
        *,
        max_tokens: int,
        options: ReplyOptions = PLAIN,
    ) -> AsyncGenerator[str | Reply, None]:
        del tools, max_tokens, options
        self.asked.append(messages)
        yield Reply(self.answer(messages), usage=Usage(prompt_tokens=7, completion_tokens=3))


def place_of(turn: Turn) -> Place:
    """Where a call of a turn's comes from."""
    return Place(turn, "call", LiveTurn(turn))


@asynccontextmanager
async def opened_place(folder: Path) -> AsyncIterator[Place]:
    """Where a call of a turn's comes from, over a database of its own."""
    database = await Database.open(folder / "agent.db", MIGRATIONS)
    try:
        yield place_of(await Store(database).accept(TurnRequest(message="go")))
    finally:
        await database.close()


@dataclass(frozen=True)
class Parts:
    """The parts, and a session in the making."""

    store: Store
    archive: Archive
    counter: Counter
    memories: Memories
    compactor: Compactor
    prompter: Prompter
    provider: PlayedModel

    async def turn(self, message: str, session_id: str = "s") -> Turn:
        """Begin a turn that waits for its answer."""
        turn = await self.store.accept(TurnRequest(message=message, session_id=session_id))
        await self.store.begin(turn)
        return turn

    async def exchange(self, message: str, answer: str, session_id: str = "s") -> Turn:
        """Have a turn done."""
        turn = await self.turn(message, session_id)
        await self.store.add(turn, Entry("assistant", answer))
        return await self.store.finish(turn)

    async def history(self, session_id: str = "s") -> list[Message]:
        """Return the session's messages."""
        return await self.store.history(session_id)


@asynccontextmanager
async def parts(
    folder: Path,
    provider: PlayedModel,
    clock: Callable[[], float] = lambda: 0.0,
    capture: str = "off",
    skills: Skills | None = None,
) -> AsyncIterator[Parts]:
    """Build them."""
    database = await Database.open(folder / "agent.db", MIGRATIONS)
    try:
        embedding = EmbeddingClient(folder)
        memories = Memories(database, embedding, Outbox(database, embedding))
        archive, counter = Archive(database), Counter(provider)
        compactor = Compactor(
            provider=provider, archive=archive, counter=counter, memories=memories, capture=capture, clock=clock
        )
        prompter = Prompter(
            workspace=Workspace(folder / "workspace"),
            archive=archive,
            counter=counter,
            compactor=compactor,
            skills=skills,
        )
        yield Parts(Store(database), archive, counter, memories, compactor, prompter, provider)
    finally:
        await database.close()
