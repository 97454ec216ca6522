"""A process that runs turns without end, for tests that kill it.

The model's plan follows from the user's last message alone: so many tools, some of which must never run twice, then an
answer, or for an API's client a call of the client's tool. Those leave a line in a file each time they run.
"""

import asyncio
import os
import random
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from ocg.agent.approvals.gate import Gate
from ocg.agent.approvals.records import Records
from ocg.agent.deliveries import Deliveries
from ocg.agent.factory import create_turns
from ocg.agent.memory import Memories
from ocg.agent.outbox import Outbox
from ocg.agent.policy import PolicyFile
from ocg.agent.providers.base import PLAIN, Model, PromptMessage, Reply, ToolSpec
from ocg.agent.schema import MIGRATIONS
from ocg.agent.store import Store
from ocg.agent.tools import Toolbox
from ocg.agent.tools.base import Place
from ocg.agent.transcript import open_calls
from ocg.agent.turns import Turns
from ocg.agent.workspace import Workspace
from ocg.config import AgentSettings
from ocg.database import Database
from ocg.errors import OcgError
from ocg.protocol.approvals import ApprovalAnswer, Decision
from ocg.protocol.clients import EmbeddingClient
from ocg.protocol.events import TurnCompleted
from ocg.protocol.messages import ReplyTo, ToolUse, TurnRequest
from ocg.protocol.replies import ClientTool, ReplyOptions
from tests.forking import fork_for_each_line, say

SESSIONS = 3
CLIENTS_TOOL = "hand"
_ENDS = """
    SELECT id, message_id, state, joined, error ->> 'code' AS code,
        (
            SELECT coalesce(client_calls ->> '$[0].name', content) FROM messages
            WHERE turn_id = turns.id ORDER BY seq DESC LIMIT 1
        ) AS last
    FROM turns ORDER BY seq
"""
_REPLY_TO = ReplyTo(channel="test", address="somebody", expires_s=86400)


class _Key(msgspec.Struct):
    key: str


class _Tool:
    """Leaves a line in a file."""

    description = "Leave a line."
    arguments = _Key
    timeout_s = 60.0
    is_outside = False

    def __init__(self, name: str, path: Path, *, is_repeatable: bool, default: Decision = "allow") -> None:
        self.name = name
        self.default: Decision = default
        self.is_repeatable = is_repeatable
        self._path = path

    async def run(self, arguments: _Key, place: Place) -> str:  # noqa: ARG002 - Tool's signature
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(descriptor, f"{self.name} {arguments.key}\n".encode())
        os.close(descriptor)
        await asyncio.sleep(random.random() * 0.003)
        return f"did {arguments.key}"


class _Model:
    """Follows the plan."""

    name = model_name = "planned"

    async def model(self) -> Model:
        return Model("planned", 1_000_000)

    async def count(self, texts: Sequence[str]) -> list[int] | None:  # noqa: ARG002 - Provider's signature
        return None

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
        at = max(at for at, one in enumerate(messages) if one.role == "user")
        asked, done = messages[at].content, sum(one.role == "tool" for one in messages[at:])
        plan = plan_of(asked)
        said = "" if done < len(plan) else answer_to(asked)
        for piece in said.split(" "):
            await asyncio.sleep(random.random() * 0.002)
            if piece:
                yield piece if piece == said.split(" ")[0] else f" {piece}"
        name = plan[done] if done < len(plan) else CLIENTS_TOOL
        call = ToolUse(id="call_0", name=name, arguments=f'{{"key": "{asked}/{done}"}}') if not said else None
        yield Reply(said, (call,) if call else ())


def plan_of(message: str) -> list[str]:
    """The tools that a message takes."""
    rng = random.Random(message)
    return rng.choices(["safe", "launch", "launch_if_allowed"], k=rng.randrange(4))


def answer_to(message: str) -> str:
    """What the model says in the end: to a client that brings a tool, nothing."""
    return "" if message.startswith("message client") else f"an answer to {message}"


def _session(number: int, session: int) -> str:
    """Sessions last some rounds, so that each is cut off in its beginning, middle and end, and none gets long."""
    return f"s{(number - 1) // 8}.{session}"


async def _allow_for_ever(gate: Gate) -> None:
    while True:
        for one in (await gate.records.waiting()).approvals:
            with suppress(OcgError):  # its turn has ended meanwhile
                await gate.answer(one.id, ApprovalAnswer(answer="allow", by="test"))
        await asyncio.sleep(0.002)


async def _check(store: Store, turns: Turns, gate: Gate, number: int) -> None:
    """Wait until what was cut off is over, then say how every turn ended."""
    for turn in await store.unfinished():
        async with asyncio.timeout(20):
            async for _ in await turns.follow(turn.id, 0):
                pass
    assert not await store.unfinished()
    assert not (await gate.records.waiting()).approvals
    for session in range(SESSIONS):
        with suppress(OcgError):  # not begun
            assert not open_calls((await store.transcript(_session(number - 1, session))).messages)
    rows = await store._database.read(lambda db: db.execute(_ENDS).fetchall())
    found = {row["message_id"]: [row["state"], row["code"], row["joined"], row["last"], row["id"]] for row in rows}
    sql = "SELECT message_id FROM deliveries JOIN turns ON turns.id = turn_id"
    due = await store._database.read(lambda db: [row[0] for row in db.execute(sql)])
    say(found=found, due=due)


async def _talk(turns: Turns, rng: random.Random, session: int, number: int) -> None:
    """Say things in a session for ever, each as soon as the one before was accepted or answered."""
    for count in range(1_000_000):
        message_id = f"{number}.{session}.{count}"
        request = TurnRequest(
            message=f"message {message_id}",
            session_id=_session(number, session),
            message_id=message_id,
            mode=rng.choices(("queue", "steer", "interrupt"), (6, 3, 1))[0],
            reply_to=_REPLY_TO,
        )
        try:
            events = await turns.submit(request)
        except OcgError:  # busy
            await asyncio.sleep(0.005)
            continue
        say(accepted=message_id, mode=request.mode)
        if rng.random() < 0.5:
            async for _ in events:
                pass
        else:
            await events.aclose()
            await asyncio.sleep(rng.random() * 0.004)


async def _talk_as_a_client(turns: Turns, number: int) -> None:
    """Ask as an API's client with a tool of its own does, without end, each time anew."""
    options = ReplyOptions(tools=(ClientTool(name=CLIENTS_TOOL),))
    for count in range(1_000_000):
        message_id = f"client.{number}.{count}"
        request = TurnRequest(
            message=f"message {message_id}", message_id=message_id, kind="api", options=options, reply_to=_REPLY_TO
        )
        events = await turns.submit(request)
        say(accepted=message_id, mode=request.mode)
        last = [event async for event in events][-1]
        assert isinstance(last, TurnCompleted)
        assert [call.name for call in last.tool_calls] == [CLIENTS_TOOL]


async def _live(folder: Path, number: int) -> None:
    rng, embedding = random.Random(number), EmbeddingClient(folder)
    database = await Database.open(folder / "agent.db", MIGRATIONS)
    store = Store(database)
    ran = folder / "ran"
    tools = [
        _Tool("safe", ran, is_repeatable=True),
        _Tool("launch", ran, is_repeatable=False),
        _Tool("launch_if_allowed", ran, is_repeatable=False, default="ask"),
    ]
    settings = AgentSettings(auto_recall=False)
    gate = Gate(Records(database), PolicyFile(folder, folder / "workspace"), settings)
    turns = create_turns(
        database,
        memories=Memories(database, embedding, Outbox(database, embedding)),
        provider=_Model(),
        workspace=Workspace(folder / "workspace"),
        settings=settings,
        gate=gate,
        deliveries=Deliveries(database),
        toolbox=Toolbox(tools),
    )
    await turns.resume()
    allowing = asyncio.create_task(_allow_for_ever(gate))
    if number % 2 == 0:  # every other time it is killed while it takes up what was cut off
        await _check(store, turns, gate, number)
    talks = (_talk(turns, rng, session, number) for session in range(SESSIONS))
    await asyncio.gather(*talks, _talk_as_a_client(turns, number), allowing)


if __name__ == "__main__":
    fork_for_each_line(_live)
