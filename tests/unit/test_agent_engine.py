"""Parts of the agent that a whole process shows badly: silences, interrupted tools, cancelled writes."""

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path

import msgspec
import pytest

from ocg.agent.approvals.gate import Gate
from ocg.agent.approvals.records import Records
from ocg.agent.deliveries import Deliveries
from ocg.agent.factory import create_turns
from ocg.agent.memory import Memories
from ocg.agent.outbox import Outbox
from ocg.agent.policy import PolicyFile
from ocg.agent.providers.base import PLAIN, Model, Piece, PromptMessage, Reply, ToolSpec
from ocg.agent.providers.openai import OpenAIProvider
from ocg.agent.providers.refusal import Settings
from ocg.agent.queue import Limits
from ocg.agent.schema import MIGRATIONS
from ocg.agent.store import Store
from ocg.agent.tools import Toolbox
from ocg.agent.tools.base import Place
from ocg.agent.workspace import Workspace
from ocg.config import AgentSettings
from ocg.database import Database
from ocg.errors import Code, OcgError
from ocg.protocol.approvals import ApprovalAnswer, Decision
from ocg.protocol.clients import EmbeddingClient
from ocg.protocol.events import ApprovalAsked, TurnEvent
from ocg.protocol.messages import ContextMessage, Image, Mode, ToolUse, TurnError, TurnRequest
from ocg.protocol.replies import ClientTool, ReplyOptions
from tests.provider import Exchange, provider, says, waits


class _Nothing(msgspec.Struct):
    """No arguments."""


class SlowTool:
    """A tool that must not be run twice, and takes its time."""

    name = "launch"
    description = "Launch it."
    default: Decision = "allow"
    arguments = _Nothing
    timeout_s = 60.0
    is_repeatable = False
    is_outside = False

    def __init__(self) -> None:
        self.runs = 0
        self.began = asyncio.Event()

    async def run(self, arguments: _Nothing, place: Place) -> str:  # noqa: ARG002 - Tool's signature
        self.runs += 1
        self.began.set()
        await asyncio.sleep(60)
        return "launched"


class CallingModel:
    """Calls the tool until it has a result, then says so."""

    name = model_name = "calling"

    async def model(self) -> Model:
        return Model("calling", 4096)

    async def count(self, texts: Sequence[str]) -> list[int] | None:
        return [len(text) for text in texts]

    async def close(self) -> None:
        pass

    async def reply(
        self,
        messages: Sequence[PromptMessage],
        tools: Sequence[ToolSpec],  # noqa: ARG002 - Provider's signature
        *,
        max_tokens: int,  # noqa: ARG002 - as above
        options: ReplyOptions = PLAIN,  # noqa: ARG002 - as above
    ) -> AsyncGenerator[str | Reply, None]:
        if messages[-1].role == "tool":
            yield Reply(f"told: {messages[-1].content}")
        else:
            yield Reply("", (ToolUse(id="c", name="launch", arguments="{}"),))


class Agent:
    """Turns over a real database."""

    def __init__(
        self,
        database: Database,
        folder: Path,
        tool: SlowTool,
        limits: Limits | None = None,
        toolbox: Toolbox | None = None,
        **settings: float,
    ) -> None:
        embedding = EmbeddingClient(folder)
        memories = Memories(database, embedding, Outbox(database, embedding))
        self.store = Store(database)
        made = AgentSettings(auto_recall=False, **settings)  # type: ignore[arg-type] # those of numbers
        self.gate = Gate(Records(database), PolicyFile(folder, folder), made)
        self.turns = create_turns(
            database,
            gate=self.gate,
            memories=memories,
            provider=CallingModel(),
            workspace=Workspace(folder / "workspace"),
            settings=made,
            deliveries=Deliveries(database),
            limits=limits,
            toolbox=toolbox or Toolbox([tool]),
        )

    async def turn(self, message: str = "go") -> list[TurnEvent]:
        return [event async for event in await self.turns.submit(TurnRequest(message=message, message_id="m"))]


async def test_a_tool_that_is_not_safe_to_repeat_is_never_run_twice(tmp_path: Path) -> None:
    database, tool = await Database.open(tmp_path / "agent.db", MIGRATIONS), SlowTool()
    try:
        first = Agent(database, tmp_path, tool)
        running = asyncio.create_task(first.turn())
        await tool.began.wait()
        await first.turns.close()
        assert (await running)[-1].__class__.__name__ == "ToolCall"
        second = Agent(database, tmp_path, tool)
        await second.turns.resume()
        last = (await second.turn())[-1]
        assert getattr(last, "text", None) == (
            "told: error: launch was interrupted; whether it had an effect is not known"
        )
        assert tool.runs == 1
    finally:
        await database.close()


async def test_a_tool_that_comes_only_after_the_restart_may_have_run_and_is_not_run_again(tmp_path: Path) -> None:
    database, tool = await Database.open(tmp_path / "agent.db", MIGRATIONS), SlowTool()
    try:
        first = Agent(database, tmp_path, tool)
        running = asyncio.create_task(first.turn())
        await tool.began.wait()
        await first.turns.close()
        await running
        not_yet = iter([()])  # as an MCP server, which is connected to while the turn is taken up
        second = Agent(database, tmp_path, tool, toolbox=Toolbox([], more=lambda: next(not_yet, (tool,))))
        await second.turns.resume()
        async with asyncio.timeout(20):
            last = (await second.turn())[-1]
        assert getattr(last, "text", "").endswith("launch was interrupted; whether it had an effect is not known")
        assert tool.runs == 1
    finally:
        await database.close()


async def _until_asked(events: AsyncGenerator[TurnEvent, None]) -> ApprovalAsked:
    return await anext(event async for event in events if isinstance(event, ApprovalAsked))


async def test_a_tool_that_was_asked_about_when_it_was_cut_off_has_not_run_and_is_asked_about_anew(
    tmp_path: Path,
) -> None:
    database, tool = await Database.open(tmp_path / "agent.db", MIGRATIONS), SlowTool()
    tool.default, go = "ask", TurnRequest(message="go", message_id="m")
    try:
        first = Agent(database, tmp_path, tool)
        asked = await _until_asked(await first.turns.submit(go))
        await first.turns.close()
        second = Agent(database, tmp_path, tool)
        await second.turns.resume()
        again = await _until_asked(await second.turns.submit(go))
        assert again.approval_id == asked.approval_id
        assert tool.runs == 0
        await second.gate.answer(again.approval_id, ApprovalAnswer(answer="allow"))
        await tool.began.wait()
        await second.turns.close()
        assert tool.runs == 1
    finally:
        await database.close()


async def test_a_tool_that_was_allowed_when_it_was_cut_off_may_have_run_and_is_not_run_again(tmp_path: Path) -> None:
    database, tool = await Database.open(tmp_path / "agent.db", MIGRATIONS), SlowTool()
    tool.default, go = "ask", TurnRequest(message="go", message_id="m")
    try:
        first = Agent(database, tmp_path, tool)
        asked = await _until_asked(await first.turns.submit(go))
        await first.gate.answer(asked.approval_id, ApprovalAnswer(answer="allow"))
        await tool.began.wait()
        await first.turns.close()
        second = Agent(database, tmp_path, tool)
        await second.turns.resume()
        told = [event async for event in await second.turns.follow(asked.turn_id, 0)]
        assert "interrupted" in getattr(told[-1], "text", "")
        assert tool.runs == 1
        await second.turns.close()
        retold = [event async for event in await second.turns.follow(asked.turn_id, 0)]
        assert [(type(one), one.seq) for one in retold] == [(type(one), one.seq) for one in told]
    finally:
        await database.close()


async def test_a_yes_that_comes_too_late_since_the_machine_slept_runs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, tool = await Database.open(tmp_path / "agent.db", MIGRATIONS), SlowTool()
    tool.default, awake = "ask", time.time
    try:
        agent = Agent(database, tmp_path, tool, approval_time_s=300.0)
        events = await agent.turns.submit(TurnRequest(message="go"))
        asked = await _until_asked(events)
        monkeypatch.setattr(time, "time", lambda: awake() + 301)  # the event loop's clock stood still
        with pytest.raises(OcgError, match="decided on before: deny, by timeout"):
            await agent.gate.answer(asked.approval_id, ApprovalAnswer(answer="allow"))
        async with asyncio.timeout(2):
            last = [event async for event in events][-1]
        assert "nobody allowed it in time" in getattr(last, "text", "")
        assert tool.runs == 0
    finally:
        await database.close()


async def test_a_turn_that_takes_too_long_is_ended_and_told(tmp_path: Path) -> None:
    database, tool = await Database.open(tmp_path / "agent.db", MIGRATIONS), SlowTool()
    try:
        agent = Agent(database, tmp_path, tool, turn_time_s=0.1)
        last = (await agent.turn())[-1]
        assert getattr(last, "code", None) == Code.TIMEOUT
        (turn,) = [await agent.store.accept(TurnRequest(message="go", message_id="m"))]
        roles = [one.role for one in (await agent.store.transcript(turn.session_id)).messages]
        assert roles == ["user", "assistant", "tool"]  # the call that was cut off has its result
    finally:
        await database.close()


async def test_cancelling_twice_at_once_still_tells_the_end(tmp_path: Path) -> None:
    database, tool = await Database.open(tmp_path / "agent.db", MIGRATIONS), SlowTool()
    try:
        agent = Agent(database, tmp_path, tool)
        events = await agent.turns.submit(TurnRequest(message="go"))
        turn_id = (await anext(events)).turn_id
        await tool.began.wait()
        await asyncio.gather(*(agent.turns.cancel(turn_id) for _ in range(5)))
        async with asyncio.timeout(2):
            last = [event async for event in events][-1]
        assert getattr(last, "code", None) == Code.CANCELLED
    finally:
        await database.close()


async def test_a_turn_that_is_cancelled_before_it_begins_ends(tmp_path: Path) -> None:
    database, tool = await Database.open(tmp_path / "agent.db", MIGRATIONS), SlowTool()
    try:
        agent = Agent(database, tmp_path, tool)
        modes: tuple[Mode, ...] = ("queue", "interrupt", "queue", "interrupt", "queue", "interrupt")
        asked = [
            TurnRequest(message="go", message_id=f"{at}.{number}", session_id=f"s{number}", mode=mode)
            for number in range(10)
            for at, mode in enumerate(modes)
        ]
        streams = await asyncio.gather(*(agent.turns.submit(one) for one in asked))
        interrupted = [stream for one, stream in zip(asked, streams, strict=True) if not one.message_id.startswith("5")]  # type: ignore[union-attr]
        async with asyncio.timeout(10):
            ends = [[event async for event in stream][-1] for stream in interrupted]
        assert {getattr(end, "code", type(end).__name__) for end in ends} == {Code.CANCELLED}
        await agent.turns.close()
        assert len(await agent.store.unfinished()) == 10  # the last of each session
        for stream in streams:
            await stream.aclose()
    finally:
        await database.close()


async def test_a_session_that_is_deleted_at_once_does_not_come_back(tmp_path: Path) -> None:
    database, tool = await Database.open(tmp_path / "agent.db", MIGRATIONS), SlowTool()
    try:
        agent = Agent(database, tmp_path, tool)
        events = await agent.turns.submit(TurnRequest(message="go", message_id="m", session_id="s"))
        await agent.turns.delete_session("s")
        assert [event.__class__.__name__ async for event in events][-1] == "TurnFailed"
        with pytest.raises(OcgError):
            await agent.store.transcript("s")
        assert not await agent.store.unfinished()
    finally:
        await database.close()


async def test_the_same_interrupting_message_twice_at_once_is_one_turn(tmp_path: Path) -> None:
    database, tool = await Database.open(tmp_path / "agent.db", MIGRATIONS), SlowTool()
    try:
        agent = Agent(database, tmp_path, tool)
        request = TurnRequest(message="go", message_id="m", session_id="s", mode="interrupt")
        one, two = await asyncio.gather(agent.turns.submit(request), agent.turns.submit(request))
        await tool.began.wait()
        assert (await anext(one)).turn_id == (await anext(two)).turn_id
        (turn,) = await agent.store.unfinished()
        assert turn.state == "running"
        await agent.turns.close()
        await one.aclose()
        await two.aclose()
    finally:
        await database.close()


async def test_a_turn_that_ends_the_agent_again_and_again_is_given_up(tmp_path: Path) -> None:
    database, tool = await Database.open(tmp_path / "agent.db", MIGRATIONS), SlowTool()
    try:
        turn = await Store(database).accept(TurnRequest(message="go", message_id="m"))
        for _ in range(21):
            await Store(database).begin(turn)
        last = (await Agent(database, tmp_path, tool).turn())[-1]
        assert (getattr(last, "code", None), "20 times" in getattr(last, "message", "")) == (Code.INTERNAL, True)
    finally:
        await database.close()


async def test_what_a_client_sent_along_is_gone_with_the_turn(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "agent.db", MIGRATIONS)
    try:
        store, image = Store(database), Image(media_type="image/png", data=b"x" * 100_000)
        said = ContextMessage(role="user", content="look", images=(image,))
        options = ReplyOptions(tools=(ClientTool(name="look", description="x" * 100_000),))
        request = TurnRequest(message="go", kind="api", context=(said,), images=(image,), options=options)
        turn = await store.accept(request)
        assert turn.options == (await store.begin(turn)).options == options
        await store.finish(turn)
        sql = "SELECT (SELECT sum(length(context) + length(options)) FROM turns) + (SELECT count(*) FROM images)"
        assert await database.read(lambda db: db.execute(sql).fetchone()[0]) == len("[]{}")
    finally:
        await database.close()


async def test_a_burst_never_gets_past_the_bound(tmp_path: Path) -> None:
    database, tool = await Database.open(tmp_path / "agent.db", MIGRATIONS), SlowTool()
    try:
        agent = Agent(database, tmp_path, tool, Limits(queued=5))
        asked = (agent.turns.submit(TurnRequest(message="go")) for _ in range(20))
        results = await asyncio.gather(*asked, return_exceptions=True)
        refused = [one for one in results if isinstance(one, OcgError)]
        assert len(refused) == 15
        assert {one.code for one in refused} == {Code.BUSY}
        await agent.turns.close()
        for one in results:
            if not isinstance(one, BaseException):
                await one.aclose()
    finally:
        await database.close()


async def test_a_clients_own_turn_ends_once_nobody_has_followed_it_for_a_while(tmp_path: Path) -> None:
    database, tool = await Database.open(tmp_path / "agent.db", MIGRATIONS), SlowTool()
    request = TurnRequest(message="go", message_id="m", kind="api")
    try:
        agent = Agent(database, tmp_path, tool, Limits(deserted_s=0.2))
        for _ in range(2):  # who comes again in time finds it running
            async with aclosing(await agent.turns.submit(request)) as events:
                turn_id = (await anext(events)).turn_id
                await asyncio.wait({_task(agent, turn_id)}, timeout=0.4)
            assert agent.turns.depths == (1, 0)
        await asyncio.wait_for(_task(agent, turn_id), 5)
        assert (await agent.store.turn(turn_id)).error == TurnError(Code.CANCELLED, "whoever asked has gone")
    finally:
        await agent.turns.close()
        await database.close()


def _task(agent: Agent, turn_id: str) -> "asyncio.Task[None]":
    return agent.turns._queue._tasks[turn_id]


async def test_what_was_cut_off_ends_when_its_client_does_not_come_back(tmp_path: Path) -> None:
    database, tool = await Database.open(tmp_path / "agent.db", MIGRATIONS), SlowTool()
    try:
        agent = Agent(database, tmp_path, tool, Limits(deserted_s=0.2))
        clients = await agent.store.accept(TurnRequest(message="go", kind="api"))
        people = await agent.store.accept(TurnRequest(message="go"))
        await agent.turns.resume()
        await asyncio.wait_for(_task(agent, clients.id), 5)
        assert [one.id for one in await agent.store.unfinished()] == [people.id]
    finally:
        await agent.turns.close()
        await database.close()


async def _replies(server_url: str, silence_s: float) -> list[Piece]:
    found = OpenAIProvider("host", server_url, Settings(), Model("m", 4096), silence_s=silence_s)
    try:
        async with aclosing(found.reply([PromptMessage("user", "hi")], [], max_tokens=9)) as pieces:
            return [piece async for piece in pieces]
    finally:
        await found.close()


async def test_endless_silence_is_ended_even_when_comments_come() -> None:
    def hums(exchange: Exchange) -> None:
        exchange.begin()
        exchange.delta(content="well")
        while not exchange.closing.wait(0.02):
            exchange.raw(b": still here\n\n")

    with provider(hums) as server, pytest.raises(OcgError, match="silent for too long") as raised:
        await _replies(server.base_url, 0.3)
    assert raised.value.code is Code.TIMEOUT


async def test_a_server_that_never_answers_is_given_up() -> None:
    with provider(waits(threading.Event(), says("never"))) as server:
        with pytest.raises(OcgError) as raised:
            await _replies(server.base_url, 0.3)
        assert raised.value.code is Code.TIMEOUT
        assert len(server.asked) == 1


async def test_a_stream_that_stays_open_after_its_end_is_not_waited_for() -> None:
    def lingers(exchange: Exchange) -> None:
        says("done")(exchange)
        exchange.closing.wait(20)

    with provider(lingers) as server:
        async with asyncio.timeout(3):
            *_, reply = await _replies(server.base_url, 20)
    assert isinstance(reply, Reply)
    assert (reply.text, reply.usage.total_tokens) == ("done", 16)


async def test_an_empty_answer_is_asked_for_again() -> None:
    with provider(lambda exchange: exchange.begin(), says("second")) as server:
        *_, reply = await _replies(server.base_url, 5)
    assert isinstance(reply, Reply)
    assert reply.text == "second"
