"""Skills of a running agent: seen by people, loaded by the model, and kept from whoever is not the owner."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.provider import ScriptedProvider, calls, provider, says
from tests.service.agent import Agent, agent
from tests.service.gateway import environment, serving

_SKILL = "---\nname: greet\ndescription: Greets people. Use it for greetings.\n---\nSay *ahoy*.\n"


@pytest.fixture
def model() -> Iterator[ScriptedProvider]:
    with provider(calls("skill", '{"name": "greet"}'), says("Ahoy!")) as server:
        yield server


@pytest.fixture
def env(tmp_path: Path, free_port: int, model: ScriptedProvider) -> dict[str, str]:
    folder = tmp_path / "data/skills/greet"
    folder.mkdir(parents=True)
    (folder / "SKILL.md").write_text(_SKILL)
    return environment(tmp_path, free_port) | model.env


@pytest.fixture
def running(tmp_path: Path, env: dict[str, str]) -> Iterator[Agent]:
    with agent(tmp_path, env) as found:
        yield found


def _cli(env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ocg.cli", "skill", "--manager", "direct", *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=60)


def test_the_model_is_told_of_it_and_loads_it(running: Agent, model: ScriptedProvider) -> None:
    assert running.say("greet them") == "Ahoy!"
    first, second = model.asked
    assert "- greet: Greets people. Use it for greetings." in first["messages"][0]["content"]
    assert "Say *ahoy*." in second["messages"][-1]["content"]


def test_a_stranger_is_told_nothing_of_it(running: Agent, model: ScriptedProvider) -> None:
    running.turn("greet them", is_stranger=True)
    assert "greet:" not in model.asked[0]["messages"][0]["content"]
    assert "Say *ahoy*." not in json.dumps(model.asked)


def test_people_see_it_by_the_command_and_over_http(running: Agent, env: dict[str, str], tmp_path: Path) -> None:
    bad = tmp_path / "data/skills/bad"
    bad.mkdir()
    (bad / "SKILL.md").write_text("\x1b[2Jno head")
    listed = _cli(env, "list")
    assert listed.stdout == "greet  user       Greets people. Use it for greetings.\n"
    assert f"{bad}: it does not begin with a head" in listed.stderr
    assert "Say *ahoy*." in _cli(env, "show", "greet").stdout
    for name in ("gone", "../greet"):
        missing = _cli(env, "show", name)
        assert (missing.returncode, "no skill" in missing.stderr) == (1, True)
    with serving(tmp_path, env) as gateway:
        assert [one["name"] for one in gateway.ask("GET", "/v1/skills").json["skills"]] == ["greet"]
        assert gateway.ask("GET", "/v1/skills/greet").json["text"] == "Say *ahoy*."
        assert gateway.ask("GET", "/v1/skills/gone").status == 404


def test_a_confined_command_runs_its_script_and_cannot_change_it(
    running: Agent, model: ScriptedProvider, tmp_path: Path
) -> None:
    policy = tmp_path / "data/policy.toml"
    script = tmp_path / "data/skills/greet/hello.sh"
    script.write_text("echo ahoy")
    line = f"sh {script}; echo evil > {script}; ls {policy}"
    model.play(calls("exec", json.dumps({"command": line})), says("done"))
    with running.opened("greet them") as stream:
        asked = stream.until("approval.asked")
        running.ask("POST", f"/v1/approvals/{asked['approval_id']}", {"answer": "allow", "by": "tester"})
        said = stream.until("tool.result")["content"]
        stream.rest()
    assert "ahoy" in said
    assert "Read-only file system" in said
    assert script.read_text() == "echo ahoy"
    assert f"cannot access '{policy}'" in said
