"""`ocg logs`: moments, the journalctl it becomes, and log files read as records."""

import argparse
from datetime import datetime
from pathlib import Path

import pytest

from ocg.cli import __main__ as cli
from ocg.cli import logs
from ocg.cli.since import moment
from ocg.errors import OcgError
from ocg.managers.logfiles import records

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


@pytest.mark.parametrize("text", ["", "soon", "25:00", "2026-02-30", "10 parsecs"])
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
    assert [(one.time[-3:], one.text.count("\n")) for one in records(log)] == [("", 0), ("001", 2), ("002", 0)]


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
    assert cli.run(["logs", "--manager", "direct", "kitchen"]) == 1
    assert "embedding, agent and gateway" in capsys.readouterr().err
