"""The gate before a tool: what is judged is what the tool would read, however a call is written."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from ocg.agent.approvals.gate import Gate
from ocg.agent.approvals.records import Records
from ocg.agent.live import LiveTurn
from ocg.agent.policy import PolicyFile
from ocg.agent.schema import MIGRATIONS
from ocg.agent.store import Store
from ocg.agent.tools.base import Outcome, Place, Tool
from ocg.config import AgentSettings
from ocg.database import Database
from ocg.protocol.approvals import ApprovalAnswer, Decision
from ocg.protocol.messages import ToolUse, TurnRequest
from ocg.protocol.tooling import Page

_RULES = '[[rule]]\ncommand = "rm *"\ndecision = "deny"\n'


class _Line(msgspec.Struct):
    command: str


class _Exec:
    """A tool that runs commands."""

    name = "exec"
    description = "Run a command."
    default: Decision = "allow"
    arguments = _Line
    timeout_s = 1.0
    is_repeatable = False
    is_outside = False

    async def run(self, arguments: _Line, place: Place) -> str:  # noqa: ARG002 - Tool's signature
        return arguments.command


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    """The agent's."""
    found = await Database.open(tmp_path / "agent.db", MIGRATIONS)
    yield found
    await found.close()


@pytest.fixture
async def gate(tmp_path: Path, database: Database) -> Gate:
    """A gate that lets no `rm` pass."""
    (tmp_path / "policy.toml").write_text(_RULES)
    (tmp_path / "policy.toml").chmod(0o600)
    found = Gate(Records(database), PolicyFile(tmp_path, tmp_path), AgentSettings())
    found.policy.take(await found.policy.read())
    return found


async def _refusal(gate: Gate, database: Database, arguments: str, tool: Tool) -> str:
    live = LiveTurn(await Store(database).accept(TurnRequest(message="go")))
    outcome = await gate.refusal(live, ToolUse(id="c", name="exec", arguments=arguments), tool)
    return outcome.content if outcome else ""


@pytest.mark.parametrize(
    "arguments",
    [
        '{"command": "rm x"}',
        '{"command": "rm x", "z": 1e999}',
        '{"command": "ls", "command": "rm x"}',
        '{"z": [], "command": "r\\u006d x"}',
    ],
)
async def test_a_rule_sees_the_command_that_the_tool_would_run(gate: Gate, database: Database, arguments: str) -> None:
    assert "rule 1 of policy.toml says deny" in await _refusal(gate, database, arguments, _Exec())


async def test_a_command_that_is_forbidden_by_no_rule_passes(gate: Gate, database: Database) -> None:
    assert await _refusal(gate, database, '{"command": "ls", "z": 1e999}', _Exec()) == ""


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ('{"command": "rm', "not JSON"),
        ('{"command": ["rm", "x"]}', "do not fit"),
        (f'{{"command": "rm x", "z": {"[" * 5000}{"]" * 5000}}}', "not JSON"),
    ],
)
async def test_a_call_that_cannot_be_read_is_not_run_and_nobody_is_asked(
    gate: Gate, database: Database, arguments: str, why: str
) -> None:
    tool = _Exec()
    tool.default = "ask"
    assert why in await _refusal(gate, database, arguments, tool)
    assert not (await gate.records.waiting()).approvals


class _Fetch(_Exec):
    """A tool that reads pages."""

    default: Decision = "ask"
    arguments = Page  # type: ignore[assignment]


async def test_a_yes_for_the_conversation_is_for_the_host_that_was_asked_about(gate: Gate, database: Database) -> None:
    """Or a page that was allowed has what was said carried to a host of its own."""
    live = LiveTurn(await Store(database).accept(TurnRequest(message="go")))

    def begin(number: int, url: str) -> asyncio.Task[Outcome | None]:
        call = ToolUse(id=str(number), name="exec", arguments=msgspec.json.encode({"url": url}).decode())
        return asyncio.create_task(gate.refusal(live, call, _Fetch()))

    async def is_asked(task: asyncio.Task[Outcome | None], answer: ApprovalAnswer) -> bool:
        while not task.done():
            for one in (await gate.records.waiting()).approvals:
                await gate.answer(one.id, answer)
                await task
                return True
        return False

    yes, no = ApprovalAnswer(answer="allow", remember="session"), ApprovalAnswer(answer="deny")
    assert await is_asked(begin(1, "https://docs.example/a"), yes)
    assert not await is_asked(begin(2, "https://docs.example/b"), no)
    for number, url in enumerate(("https://evil.example/?q=a", "https://docs.example@evil.example/"), start=3):
        assert await is_asked(begin(number, url), no)
