"""Schedules of a running agent: over the gateway's API and by `ocg schedule`, through a restart and a kill."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.provider import Exchange, ScriptedProvider, calls, echoes, provider, says, waits
from tests.service.agent import Agent, agent
from tests.service.gateway import BEARER, environment, serving

Done = subprocess.CompletedProcess[str]
HOURLY = {"name": "look", "when": "every 1h", "message": "what is new?"}


class Cli:
    """`ocg schedule` against one agent."""

    def __init__(self, env: dict[str, str]) -> None:
        self._env = env | {"TZ": "Europe/Paris"}

    def __call__(self, *arguments: str, status: int = 0) -> Done:
        line = [sys.executable, "-m", "ocg.cli", "schedule", "--manager", "direct", *arguments]
        done = subprocess.run(line, env=self._env, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == status, done.stderr
        return done


@pytest.fixture
def model() -> Iterator[ScriptedProvider]:
    with provider(echoes) as server:
        yield server


@pytest.fixture
def env(tmp_path: Path, free_port: int, model: ScriptedProvider) -> dict[str, str]:
    """Everything in a folder of the test's own."""
    return environment(tmp_path, free_port) | model.env | {"TZ": "Europe/Paris", "PATH": os.environ["PATH"]}


@pytest.fixture
def ocg(env: dict[str, str]) -> Cli:
    return Cli(env)


def _runs(found: Agent, name: str, number: int = 1) -> list[dict[str, Any]]:
    """Wait until so many runs have ended and return them, newest first."""
    for _ in range(400):
        status, answer = found.ask("GET", f"/v1/schedules/{name}/runs")
        assert status == 200, answer
        if len(answer["runs"]) == number and all(one["state"] != "running" for one in answer["runs"]):
            return list(answer["runs"])
        time.sleep(0.05)
    raise AssertionError(answer)


def test_the_api_adds_lists_runs_pauses_and_removes(tmp_path: Path, env: dict[str, str]) -> None:
    with agent(tmp_path, env) as running, serving(tmp_path, env) as gateway:

        def ask(method: str, path: str, body: Any = None) -> tuple[int, Any]:
            reply = gateway.ask(method, f"/v1/schedules{path}", body, headers=BEARER)
            return reply.status, reply.json

        status, made = ask("POST", "", HOURLY | {"reply_to": {"channel": "matrix", "address": "#room"}})
        assert (status, made["is_paused"], made["last_run"]) == (200, False, None)
        assert made["next_at"] == made["created_at"] + 3600
        assert ask("GET", "") == (200, {"schedules": [made]})
        status, begun = ask("POST", "/look/run")
        assert (status, begun["is_asked"]) == (200, True)
        (run,) = _runs(running, "look")
        assert (run["state"], run["session_id"]) == ("completed", "schedule@look")
        assert gateway.ask("GET", f"/v1/turns/{run['turn_id']}", headers=BEARER).json["message"] == HOURLY["message"]
        status, taken = running.ask("POST", "/v1/channels/matrix/take?wait=0")
        assert [one["text"] for one in taken["deliveries"]] == ["you said: what is new?"]
        status, paused = ask("PATCH", "/look", {"is_paused": True})
        assert (status, paused["is_paused"]) == (200, True)
        assert paused["last_run"]["id"] == run["id"] == ask("GET", "/look/runs")[1]["runs"][0]["id"]
        assert ask("DELETE", "/look") == (200, {"count": 1})
        assert ask("GET", "") == (200, {"schedules": []})
        refused = {
            ("DELETE", "/look", None): (404, None),
            ("POST", "/look/run", None): (404, None),
            ("GET", "/a.b/runs", None): (400, "name"),
            ("POST", "", b'{"name": "x", "when": "soon", "message": "m"}'): (400, "when"),
            ("POST", "", b'{"name": "x", "when": "@daily", "message": "m", "zone": "Mars/Base"}'): (400, "zone"),
            ("POST", "", b'{"name": "x y", "when": "@daily", "message": "m"}'): (400, "name"),
        }
        for (method, path, body), wanted in refused.items():
            status, answer = ask(method, path, body)
            assert (status, answer["error"]["param"]) == wanted, (path, answer)


def test_the_command_line_does_as_much_and_shows_when_it_is_next(tmp_path: Path, env: dict[str, str], ocg: Cli) -> None:
    with agent(tmp_path, env) as running:
        said = ocg("add", "morning", "0 8 1 1 *", "what", "is new?", "--zone", "UTC", "--new-session").stdout
        assert said.startswith("morning  0 8 1 1 *  2")
        assert "-01-01 09:00" in said  # as the clocks of whoever reads it show it
        assert said.rstrip().endswith("what is new?")
        ocg("add", "once", "in 3d", "tea", "--to", "matrix:#room")
        shown = [json.loads(line) for line in ocg("list", "--json").stdout.splitlines()]
        assert [(one["name"], one["session"]) for one in shown] == [("once", "own"), ("morning", "new")]
        assert shown[0]["reply_to"]["address"] == "#room"
        assert "running" in ocg("run", "morning").stdout
        (run,) = _runs(running, "morning")
        assert f"completed  asked for, conversation {run['session_id']}" in ocg("runs", "morning").stdout
        assert "  paused  " in ocg("pause", "morning").stdout
        assert "-01-01 09:00  completed" in ocg("resume", "morning").stdout
        for name in ("morning", "once"):
            ocg("rm", name)
        assert ocg("list").stdout == ""
        assert "no schedule 'morning'" in ocg("rm", "morning", status=1).stderr
        assert "no schedule '../x'" in ocg("rm", "../x", status=1).stderr
        assert "'soon' is no time" in ocg("add", "x", "soon", "m", status=1).stderr


def test_a_run_that_is_killed_is_taken_up_and_its_schedule_goes_on(
    tmp_path: Path, env: dict[str, str], model: ScriptedProvider
) -> None:
    asked = threading.Event()

    def hangs(exchange: Exchange) -> None:
        asked.set()
        waits(threading.Event(), echoes)(exchange)

    model.play(hangs)
    with agent(tmp_path, env) as first:
        assert first.ask("POST", "/v1/schedules", HOURLY | {"when": "in 1s"})[0] == 200
        assert asked.wait(20)
        first.kill()
    model.play(echoes)
    with agent(tmp_path, env) as second:
        (run,) = _runs(second, "look")
        assert run["state"] == "completed"
        assert second.transcript("schedule@look") == [
            ("user", "what is new?"),
            ("assistant", "you said: what is new?"),
        ]


def test_the_model_may_schedule_what_is_then_done(tmp_path: Path, env: dict[str, str], model: ScriptedProvider) -> None:
    arguments = json.dumps({"action": "add", "name": "tea", "when": "in 1s", "message": "say that the tea is ready"})
    model.play(calls("schedule", arguments), says("I will."), echoes)
    with agent(tmp_path, env) as running:
        assert running.say("remind me of the tea in a second") == "I will."
        (run,) = _runs(running, "tea")
        assert running.transcript(run["session_id"])[-1] == ("assistant", "you said: say that the tea is ready")
