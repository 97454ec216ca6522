"""The command line: every command has help, errors are one line and an exit status, bugs alone show a traceback."""

import json

import pytest

from ocg import __version__
from ocg.cli import __main__ as cli
from ocg.cli.status import as_json, as_text
from ocg.errors import Code, OcgError
from ocg.managers.base import Status


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
