"""The command line: every command has help, errors are one line and an exit status, bugs alone show a traceback."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ocg import __version__
from ocg.cli import __main__ as cli
from ocg.cli.answer import Answerer
from ocg.cli.status import as_json, as_text
from ocg.errors import Code, OcgError
from ocg.managers.base import Status
from ocg.protocol import events
from ocg.protocol.clients import AgentClient


@pytest.mark.parametrize("command", [one.name for one in cli.COMMANDS])
def test_every_command_has_help_that_says_what_it_does(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.run([command, "--help"])
    assert caught.value.code == 0
    out = capsys.readouterr().out
    assert f"usage: ocg {command}" in out
    assert next(one.summary for one in cli.COMMANDS if one.name == command)[:20] in out


def test_a_wrong_command_exits_with_2_and_names_the_right_ones(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.run(["begin"])
    assert caught.value.code == 2
    assert "start" in capsys.readouterr().err


def test_an_error_is_one_line_a_hint_and_its_exit_status(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(arguments: object) -> int:
        raise OcgError(Code.CONFIG_INVALID, "env.config:3: expected KEY=VALUE", "put # before it")

    monkeypatch.setattr("ocg.cli.version.run", fail)
    assert cli.run(["version"]) == 78
    assert capsys.readouterr().err == "ocg: env.config:3: expected KEY=VALUE\n     put # before it\n"


def test_a_bug_shows_its_traceback_and_exits_with_70(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(arguments: object) -> int:
        raise RuntimeError("oh")

    monkeypatch.setattr("ocg.cli.version.run", fail)
    assert cli.run(["version"]) == 70
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert "please report" in err
    assert f"ocg {__version__} (" in err


def test_status_is_the_contracts_four_lines() -> None:
    status = Status({"ocg-embedding": 1234, "ocg-agent": 1235, "ocg-gateway": None}, "ocg-gateway not running")
    assert as_text(status).splitlines() == [
        "Embedding: running (PID 1234)",
        "Agent: running (PID 1235)",
        "Gateway: stopped",
        "Health: ocg-gateway not running",
    ]
    assert json.loads(as_json(status))["services"]["ocg-gateway"] == {
        "running": False,
        "pid": None,
        "state": "stopped",
    }
    assert not status.is_ok
    assert not status.is_stopped


class _Agent(AgentClient):
    """An agent that has these events for everybody."""

    def __init__(self, *found: events.TurnEvent) -> None:
        self._found = found

    async def turn(self, *_: object, **__: object) -> AsyncIterator[events.TurnEvent]:  # type: ignore[override]
        for one in self._found:
            yield one


_KEY: dict[str, Any] = {"turn_id": "t", "session_id": "s", "seq": 1}


async def test_what_comes_from_outside_moves_no_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    """Else a page could write over the command that is asked about."""
    result = events.ToolResult(call_id="c", name="web_fetch", content="a\x1b[2K\x9b1A\rb\nc", **_KEY)
    delta = events.TextDelta(text="\x1b]52;c;eA==\x07x\u3000y\n", **_KEY)
    await Answerer(_Agent(result, delta), None).ask("go")
    said = capsys.readouterr()
    assert said.err == "← a\\x1b[2K\\x9b1A\\rb\nc\n"
    assert said.out == "\\x1b]52;c;eA==\\x07x\u3000y\n"


async def test_nobody_is_asked_about_a_call_that_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """Of a sub-agent's call nothing but the question is told."""
    call: dict[str, Any] = {"call_id": "c", "name": "exec", "arguments": '{"command":"rm x"}'}
    asked = events.ApprovalAsked(approval_id="1", why="a sub-agent's call", expires_at=0.0, **call, **_KEY)
    await Answerer(_Agent(asked), None).ask("go")
    assert "rm x" in capsys.readouterr().err
