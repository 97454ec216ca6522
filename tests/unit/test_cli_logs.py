"""`ocg logs`: moments, the journalctl it becomes, and log files read as records."""

import argparse
import os
import signal
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

from ocg.cli import __main__ as cli
from ocg.cli import logs
from ocg.cli.since import moment
from ocg.errors import OcgError
from ocg.managers.logfiles import Log

_NOW = datetime(2026, 3, 2, 14, 30, 15)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("10m", datetime(2026, 3, 2, 14, 20, 15)),
        ("-2h", datetime(2026, 3, 2, 12, 30, 15)),
        ("1d ago", datetime(2026, 3, 1, 14, 30, 15)),
        ("today", datetime(2026, 3, 2)),
        ("yesterday", datetime(2026, 3, 1)),
        ("09:05", datetime(2026, 3, 2, 9, 5)),
        ("2026-02-28", datetime(2026, 2, 28)),
        ("2026-02-28T23:59:01", datetime(2026, 2, 28, 23, 59, 1)),
    ],
)
def test_moments(text: str, wanted: datetime) -> None:
    assert moment(text, _NOW) == wanted


@pytest.mark.parametrize(
    "text", ["", "soon", "25:00", "2026-02-30", "10 parsecs", "999999d", "0001-01-01", "1600-01-01"]
)
def test_what_is_no_moment_is_told_what_is(text: str) -> None:
    with pytest.raises(OcgError, match="is no time"):
        moment(text, _NOW)


def _arguments(*argv: str) -> argparse.Namespace:
    return cli.build_parser("logs").parse_args(["logs", *argv])


def test_the_journal_is_asked_for_units_and_fields() -> None:
    command = logs.journalctl(
        ("ocg-agent",), _arguments("agent", "-f", "-n5", "--turn", "t1", "--session", "s1"), _NOW, user=True
    )
    assert command == [
        "journalctl",
        "--quiet",
        "--user-unit=ocg-agent.service",
        "--lines=5",
        "--follow",
        f"--since=@{int(_NOW.timestamp())}",
        "OCG_TURN=t1",
        "OCG_SESSION=s1",
    ]


def test_a_traceback_stays_with_its_record(tmp_path: Path) -> None:
    log = tmp_path / "ocg-agent.log"
    log.write_text(
        "no time\n"
        "2026-03-02 14:00:00,001 ERROR ocg.agent: it broke\nTraceback\n  line\n"
        "2026-03-02 14:00:00,002 INFO ocg.agent: on it goes\n"
    )
    assert [(one.time[-3:], one.text.count("\n")) for one in Log(log).records()] == [("", 0), ("001", 2), ("002", 0)]


def test_files_are_merged_by_time_and_filtered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OCG_LOG_DIR", str(tmp_path))
    (tmp_path / "ocg-agent.log").write_text(
        "2026-03-01 10:00:00,000 INFO ocg.agent: old\n2026-03-02 10:00:02,000 INFO ocg.agent: turn abc done\n"
    )
    (tmp_path / "ocg-gateway.log").write_text("2026-03-02 10:00:01,000 INFO ocg.gateway: first\n")
    assert cli.run(["logs", "--manager", "direct", "--since", "2026-03-02"]) == 0
    assert [line.rpartition(": ")[2] for line in capsys.readouterr().out.splitlines()] == ["first", "turn abc done"]
    assert cli.run(["logs", "--manager", "direct", "--turn", "abc"]) == 0
    assert capsys.readouterr().out.count("\n") == 1
    assert cli.run(["logs", "--manager", "direct", "-n1"]) == 0
    assert "turn abc done" in capsys.readouterr().out
    assert cli.run(["logs", "--manager", "direct", "-n1", "--since", "2026-03-02"]) == 0
    assert "first" in capsys.readouterr().out, "as journalctl has it"
    assert cli.run(["logs", "--manager", "direct", "kitchen"]) == 1
    assert "embedding, agent and gateway" in capsys.readouterr().err


def test_none_at_all_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OCG_LOG_DIR", str(tmp_path))
    (tmp_path / "ocg-agent.log").write_text("2026-03-02 10:00:02,000 INFO ocg.agent: turn abc done\n")
    assert cli.run(["logs", "--manager", "direct", "-n0"]) == 0
    assert capsys.readouterr().out == ""
    with pytest.raises(SystemExit):
        cli.run(["logs", "-n", "many"])


def test_where_there_is_no_log_that_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OCG_LOG_DIR", str(tmp_path))
    assert cli.run(["logs", "--manager", "direct"]) == 1
    assert "there is no log of yours" in capsys.readouterr().err


def test_since_a_moment_all_is_shown_unless_a_number_is_given() -> None:
    assert "--lines=100" in logs.journalctl(("ocg-agent",), _arguments(), None, user=False)
    since = logs.journalctl(("ocg-agent",), _arguments("--since", "1h"), _NOW, user=False)
    assert not [one for one in since if one.startswith("--lines")]


def test_without_journalctl_that_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(OcgError, match="journalctl is not installed"):
        logs._become(["journalctl"])


def test_following_misses_nothing_of_any_log_not_even_when_one_is_replaced(tmp_path: Path) -> None:
    files = [tmp_path / "ocg-agent.log", tmp_path / "ocg-gateway.log"]
    for file in files:
        file.write_text(f"2026-03-02 10:00:00,000 INFO {file.stem}: turn t1 before\n")
    environ = dict(os.environ) | {"OCG_LOG_DIR": str(tmp_path), "OCG_CONFIG": os.devnull}
    command = [sys.executable, "-m", "ocg.cli", "logs", "--manager", "direct", "-f", "--turn", "t1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ) as following:
        assert following.stdout
        try:
            assert sorted(following.stdout.readline().split()[3] for _ in files) == ["ocg-agent:", "ocg-gateway:"]
            for file in files:
                with file.open("a") as log:
                    log.write(
                        "2026-03-02 10:00:01,000 INFO x: turn t2\n2026-03-02 10:00:02,000 INFO x: turn t1 after\n"
                    )
                assert following.stdout.readline().endswith("turn t1 after\n")
            files[0].rename(tmp_path / "old")
            files[0].write_text("2026-03-02 10:00:03,000 INFO x: turn t1 in a new log\n")
            assert following.stdout.readline().endswith("in a new log\n")
        finally:
            following.send_signal(signal.SIGINT)
    assert following.returncode == 130


def test_what_is_no_log_of_ours_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OCG_LOG_DIR", str(tmp_path))
    os.mkfifo(tmp_path / "ocg-agent.log")  # reading it would wait for ever
    assert cli.run(["logs", "--manager", "direct"]) == 78
    assert "is not a log of ours" in capsys.readouterr().err


def test_what_a_terminal_would_obey_is_taken_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OCG_LOG_DIR", str(tmp_path))
    (tmp_path / "ocg-agent.log").write_text("2026-03-02 10:00:00,000 INFO ocg.agent: \x1b]0;owned\x07 said\n")
    assert cli.run(["logs", "--manager", "direct"]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "owned" in out
