"""Hooks as a user puts them there: they are called with what happens, and one before a tool can forbid its call."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.provider import ScriptedProvider, calls, provider, says
from tests.service.agent import Event, agent
from tests.service.gateway import environment

_KEEPS = '#!/bin/sh\ncat >> "$OCG_EVENT.jsonl"; echo >> "$OCG_EVENT.jsonl"\n'


@pytest.fixture
def model() -> Iterator[ScriptedProvider]:
    """A model that asks what time it is, then answers."""
    with provider(calls("time", "{}"), says("done")) as server:
        yield server


@pytest.fixture
def env(tmp_path: Path, free_port: int, model: ScriptedProvider) -> dict[str, str]:
    """Everything in one folder."""
    (tmp_path / "data").mkdir()
    return environment(tmp_path, free_port) | model.env


def _hook(folder: Path, event: str, text: str, name: str = "hook", mode: int = 0o755) -> Path:
    made = folder / "data/hooks" / event
    made.mkdir(parents=True, exist_ok=True)
    for one in (made, made.parent):
        one.chmod(0o755)
    (made / name).write_text(text)
    (made / name).chmod(mode)
    return made / name


def _told(folder: Path, event: str, count: int = 1) -> list[dict[str, Any]]:
    """Wait until so many events were told, and return them."""
    path = folder / f"data/workspace/{event}.jsonl"
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if path.exists() and len(lines := path.read_text().split("\n")) > count:
            return [json.loads(line) for line in lines if line]
        time.sleep(0.02)
    raise AssertionError(f"{event} was not told {count} times")


def _result(events: list[Event]) -> Event:
    return next(one for one in events if one["type"] == "tool.result")


_WATCHED = ("agent.started", "turn.started", "tool.result", "turn.completed", "session.deleted", "agent.stopping")


def test_what_happens_is_told_with_its_ids_names_and_texts(tmp_path: Path, env: dict[str, str]) -> None:
    for event in (*_WATCHED, "tool.call"):
        _hook(tmp_path, event, _KEEPS)
    with agent(tmp_path, env) as found:
        events = found.turn("what time is it?", session_id="work")
        completed = _told(tmp_path, "turn.completed")
        assert found.ask("DELETE", "/v1/sessions/work")[0] == 200
        _told(tmp_path, "session.deleted")
        assert found.process.stop() == 0
    ids = {key: events[0][key] for key in ("turn_id", "session_id")}
    told = {event: _told(tmp_path, event)[0] for event in (*_WATCHED, "tool.call")}
    assert all(one["event"] == event and abs(one["at"] - time.time()) < 120 for event, one in told.items())
    assert told["turn.started"] == told["turn.started"] | ids | {"message": "what time is it?", "channel": ""}
    assert told["tool.call"] == told["tool.call"] | ids | {"name": "time", "arguments": {"zone": ""}}
    assert told["tool.result"] == told["tool.result"] | ids | {"name": "time", "content": _result(events)["content"]}
    assert completed == [told["turn.completed"] | ids | {"text": "done"}]
    assert told["session.deleted"]["session_id"] == "work"


def test_a_turn_that_fails_and_a_call_that_is_asked_about_are_told(
    tmp_path: Path, env: dict[str, str], model: ScriptedProvider
) -> None:
    for event in ("turn.failed", "approval.asked", "approval.answered"):
        _hook(tmp_path, event, _KEEPS)
    model.play(calls("exec", '{"command": "true"}'))
    with agent(tmp_path, env) as found, found.opened("go on") as stream:
        asked = stream.until("approval.asked")
        (told,) = _told(tmp_path, "approval.asked")
        assert (told["approval_id"], told["name"]) == (asked["approval_id"], "exec")
        assert found.ask("POST", f"/v1/turns/{asked['turn_id']}/cancel")[0] == 200
        stream.rest()
        (failed,) = _told(tmp_path, "turn.failed")
        assert failed["code"] == "cancelled"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("#!/bin/sh\necho not on a Sunday\nexit 1\n", "time was not run: not on a Sunday"),
        ("#!/bin/sh\nexit 7\n", "time was not run: exit status 7"),
        ("#!/bin/sh\nkill -KILL $$\n", "time was not run: ended by SIGKILL"),
        ("#!/no/such/interpreter\n", "No such file or directory"),
    ],
)
def test_a_hook_before_a_tool_forbids_its_call_and_says_why(
    tmp_path: Path, env: dict[str, str], text: str, why: str
) -> None:
    _hook(tmp_path, "tool.call", text)
    with agent(tmp_path, env) as found:
        result = _result(found.turn("what time is it?"))
        assert result["is_error"]
        assert why in result["content"]
        (decided,) = found.ask("GET", "/v1/decisions")[1]["decisions"]
        assert (decided["decision"], decided["by"]) == ("deny", "hook hook")


def test_a_hook_before_a_tool_that_has_nothing_against_it_lets_it_run(tmp_path: Path, env: dict[str, str]) -> None:
    _hook(tmp_path, "tool.call", "#!/bin/sh\necho fine\n")
    with agent(tmp_path, env) as found:
        assert not _result(found.turn("what time is it?"))["is_error"]


def test_a_hook_judges_what_the_tool_would_read(tmp_path: Path, env: dict[str, str], model: ScriptedProvider) -> None:
    _hook(tmp_path, "tool.call", '#!/bin/sh\nif grep -q \'"command":"rm x"\'; then echo no rm; exit 1; fi\n')
    model.play(calls("exec", '{"command": "ls", "command": "r\\u006d x"}'), says("done"))
    with agent(tmp_path, env) as found:
        assert "exec was not run: no rm" in _result(found.turn("go on"))["content"]
        assert found.ask("GET", "/v1/approvals")[1] == {"approvals": []}


def test_hooks_that_watch_hold_no_turn_up_and_end_at_their_limit(tmp_path: Path, env: dict[str, str]) -> None:
    _hook(tmp_path, "turn.started", "#!/bin/sh\necho > begun; sleep 600\n")
    _hook(tmp_path, "tool.result", "#!/bin/sh\nsleep 600\n")
    with agent(tmp_path, env) as found:
        began = time.monotonic()
        assert found.say("what time is it?") == "done"
        assert time.monotonic() - began < 9  # one alone would take ten
        deadline = time.monotonic() + 60
        while "hook turn.started/hook: it took longer than 10 s" not in found.process.log:
            assert time.monotonic() < deadline, found.process.log
            time.sleep(0.1)


def test_a_hook_is_in_a_cage_without_ocgs_data_and_secrets(tmp_path: Path, env: dict[str, str]) -> None:
    script = "#!/bin/sh\nenv; ls $(dirname $0)/../..; cat $(dirname $0)/../../agent.db; echo x > $0\n"
    _hook(tmp_path, "turn.completed", script + "echo the end\n")
    with agent(tmp_path, env) as found:
        found.say("what time is it?")
        deadline = time.monotonic() + 60
        while "the end" not in found.process.log:
            assert time.monotonic() < deadline, found.process.log
            time.sleep(0.1)
        said = found.process.log.split("hook turn.completed/hook:")[1].split("the end")[0]
    assert "sk-" not in said
    assert "agent.db: No such file" in said
    assert "Read-only file system" in said
    assert "token" not in said


def test_a_hook_that_others_may_have_written_is_not_called_and_before_a_tool_forbids_all(
    tmp_path: Path, env: dict[str, str]
) -> None:
    _hook(tmp_path, "tool.call", "#!/bin/sh\nexit 0\n", mode=0o777)
    with agent(tmp_path, env) as found:
        result = _result(found.turn("what time is it?"))
        assert "others may write there" in result["content"]


def test_the_command_lists_them_and_says_why_one_is_not_called(tmp_path: Path, env: dict[str, str]) -> None:
    _hook(tmp_path, "turn.completed", _KEEPS, "20-last")
    _hook(tmp_path, "turn.completed", _KEEPS, "10-first")
    _hook(tmp_path, "turn.completed", _KEEPS, "not-yet", mode=0o644)
    _hook(tmp_path, "turn.completed", _KEEPS, "open", mode=0o775)
    _hook(tmp_path, "turn.complete", _KEEPS, "typo")
    (tmp_path / "data/hooks/turn.completed/zz-link").symlink_to("/bin/true")
    with agent(tmp_path, env) as found:
        command = [sys.executable, "-m", "ocg.cli", "hook", "--manager", "direct", "list"]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=True, timeout=60)
        listed = found.ask("GET", "/v1/hooks")[1]["hooks"]
    assert [(one["event"], one["name"], one["state"]) for one in listed] == [
        ("turn.complete", "typo", "off"),
        ("turn.completed", "10-first", "on"),
        ("turn.completed", "20-last", "on"),
        ("turn.completed", "not-yet", "off"),
        ("turn.completed", "open", "refused"),
        ("turn.completed", "zz-link", "refused"),
    ]
    lines = done.stdout.splitlines()
    assert [line.split()[:3] for line in lines] == [[one["event"], one["name"], one["state"]] for one in listed]
    assert "there is no event turn.complete" in lines[0]
    assert "chmod +x" in lines[3]
    assert "others may write there" in lines[4]
