"""Commands that the agent runs under bubblewrap, as a model would have them run."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.provider import ScriptedProvider, calls, provider, says
from tests.service.agent import Agent, Event, agent
from tests.service.gateway import environment

_ALLOW = '[[rule]]\ntool = "exec"\ndecision = "allow"\n'


@pytest.fixture
def model() -> Iterator[ScriptedProvider]:
    """A model that says nothing but what a test has it say."""
    with provider(says("done")) as server:
        yield server


@pytest.fixture
def env(tmp_path: Path, free_port: int, model: ScriptedProvider) -> dict[str, str]:
    """Everything in one folder, and commands without the network allowed."""
    (tmp_path / "data").mkdir()
    policy = tmp_path / "data/policy.toml"
    policy.write_text(_ALLOW)
    policy.chmod(0o600)
    return environment(tmp_path, free_port) | model.env | {"A_SECRET": "sk-1234"}


@pytest.fixture
def running(tmp_path: Path, env: dict[str, str]) -> Iterator[Agent]:
    """The agent."""
    with agent(tmp_path, env) as found:
        yield found


class _Asker:
    """Has a model call tools, each call a turn of one conversation."""

    def __init__(self, running: Agent, model: ScriptedProvider, session_id: str = "work") -> None:
        self._running = running
        self._model = model
        self._session_id = session_id

    def __call__(self, tool: str, **arguments: Any) -> str:
        """Call a tool and return what the model is told."""
        result = self.event(tool, **arguments)
        assert not result["is_error"], result
        return str(result["content"])

    def event(self, tool: str, **arguments: Any) -> Event:
        """Call a tool and return the event of its result."""
        self._model.play(calls(tool, json.dumps(arguments)), says("done"))
        events = self._running.turn("go on", session_id=self._session_id)
        return next(one for one in events if one["type"] == "tool.result")


@pytest.fixture
def ask(running: Agent, model: ScriptedProvider) -> _Asker:
    """Calls tools."""
    return _Asker(running, model)


def _id_of(text: str) -> str:
    return text.rsplit("[process ", 1)[1].partition(":")[0]


def test_a_command_gives_what_it_wrote_in_its_order_and_its_exit_status(ask: _Asker, tmp_path: Path) -> None:
    said = ask("exec", command="echo one; echo two >&2; echo three > made; exit 3")
    assert "one\ntwo\n[exit status 3]" in said
    assert (tmp_path / "data/workspace/made").read_text() == "three\n"


def test_a_command_runs_in_the_folder_it_names_and_one_that_is_not_there_is_named(ask: _Asker, tmp_path: Path) -> None:
    assert "[exit status 0]" in ask("exec", command="mkdir -p a/b")
    assert f"{tmp_path}/data/workspace/a/b\n" in ask("exec", command="pwd", folder="a/b")
    failed = ask.event("exec", command="pwd", folder="nowhere")
    assert failed["is_error"]
    assert "nowhere: No such file or directory" in failed["content"]


def test_a_command_sees_no_secret_of_the_agents_and_no_network(ask: _Asker) -> None:
    said = ask("exec", command="env; cat /proc/net/dev")
    assert "sk-" not in said
    assert "lo:" in said
    assert "eth" not in said


def test_a_signal_and_a_limit_of_time_are_told_and_nothing_goes_on(ask: _Asker, tmp_path: Path) -> None:
    assert "[ended by SIGSEGV]" in ask("exec", command="kill -SEGV $$")
    late = ask("exec", command="trap 'echo bye; exit 1' TERM; echo hello; sleep 60 & wait", timeout_s=1)
    assert "hello\nbye\n[ended after 1 s" in late
    began = time.monotonic()
    stubborn = ask("exec", command="trap '' TERM; (sleep 30; touch left) & sleep 60; sleep 60", timeout_s=1)
    assert "[ended after 1 s" in stubborn
    assert time.monotonic() - began < 25
    assert not (tmp_path / "data/workspace/left").exists()


def test_what_a_command_leaves_behind_ends_with_it_however_it_hides(ask: _Asker, tmp_path: Path) -> None:
    hidden = "setsid sh -c 'sleep 3; touch left' & nohup sh -c 'sleep 3; touch left' & echo begun"
    assert "begun\n[exit status 0]" in ask("exec", command=hidden)
    # A process that had lived on would have written by the time that another as long is over.
    assert "[exit status 0]" in ask("exec", command="sleep 4")
    assert not (tmp_path / "data/workspace/left").exists()


def test_a_command_that_closes_its_output_is_waited_for(ask: _Asker) -> None:
    assert "[exit status 7]" in ask("exec", command="exec >&- 2>&-; sleep 1; exit 7")


def test_a_long_output_is_shown_by_its_ends_and_an_endless_one_ends(ask: _Asker) -> None:
    long = ask("exec", command="echo first; seq 1000000; echo last")
    assert "first\n1\n2\n" in long
    assert "999999\n1000000\nlast\n[exit status 0]" in long
    assert "read_result" in long
    endless = ask("exec", command="yes", timeout_s=100)
    assert "[ended, for it wrote more than 64 MiB]" in endless


def test_the_network_is_asked_about_even_where_the_command_is_allowed(running: Agent, model: ScriptedProvider) -> None:
    model.play(calls("exec", '{"command": "true", "network": true}'), says("done"))
    with running.opened("go on", session_id="work") as stream:
        approval_id = stream.until("approval.asked")["approval_id"]
        answer = {"answer": "allow", "by": "tester", "remember": "session"}
        assert running.ask("POST", f"/v1/approvals/{approval_id}", answer)[0] == 200
        assert "[exit status 0]" in stream.until("tool.result")["content"]
        stream.rest()
    kinds = [one["type"] for one in running.turn("go on", session_id="work")]
    assert "approval.asked" not in kinds


def test_an_answer_for_a_command_without_the_network_does_not_give_it(
    tmp_path: Path, env: dict[str, str], model: ScriptedProvider
) -> None:
    (tmp_path / "data/policy.toml").unlink()
    with agent(tmp_path, env) as found:
        for arguments, is_asked in (("{}", True), ("{}", False), ('{"network": true}', True)):
            model.play(calls("exec", json.dumps({"command": "true"} | json.loads(arguments))), says("done"))
            with found.opened("go on", session_id="work") as stream:
                if is_asked:
                    approval_id = stream.until("approval.asked")["approval_id"]
                    answer = {"answer": "allow", "by": "tester", "remember": "session"}
                    assert found.ask("POST", f"/v1/approvals/{approval_id}", answer)[0] == 200
                kinds = [one["type"] for one in stream.rest()]
            assert ("approval.asked" in kinds) == is_asked, arguments


def test_a_process_in_the_background_is_polled_written_to_and_awaited(ask: _Asker) -> None:
    begun = ask("exec", command="echo ready; while read line; do echo got $line; done; exit 5", background=True)
    assert "ready\n[process " in begun
    process = _id_of(begun)
    assert f"{process} running for" in ask("process", action="list")
    ask("process", action="write", id=process, input="this\n")
    ask("process", action="write", id=process, input="that\n", is_last=True)
    said = ask("process", action="wait", id=process, wait_s=60)
    assert f"[process {process}: exit status 5]" in said
    polled = ask("process", action="poll", id=process)
    assert f"[process {process}: exit status 5]" in polled
    assert "got" not in polled
    late = ask.event("process", action="write", id=process, input="more\n")
    assert "does not run: exit status 5" in late["content"]


def test_a_process_in_the_background_is_killed_with_all_it_began(ask: _Asker, tmp_path: Path) -> None:
    begun = ask("exec", command="trap '' TERM; setsid sh -c 'sleep 8; touch left' & sleep 600", background=True)
    killed = ask("process", action="kill", id=_id_of(begun))
    assert "[process " in killed
    assert "running" not in killed
    assert "[exit status 0]" in ask("exec", command="sleep 9")
    assert not (tmp_path / "data/workspace/left").exists()


def test_processes_are_the_conversations_own_and_end_with_it(
    running: Agent, model: ScriptedProvider, tmp_path: Path
) -> None:
    mine, others = _Asker(running, model, "mine"), _Asker(running, model, "others")
    process = _id_of(mine("exec", command="(sleep 5; touch left) & sleep 600", background=True))
    assert "no process runs" in others("process", action="list")
    assert "there is no process" in others.event("process", action="kill", id=process)["content"]
    assert running.ask("DELETE", "/v1/sessions/mine")[0] == 200
    assert "[exit status 0]" in others("exec", command="sleep 6")
    assert not (tmp_path / "data/workspace/left").exists()


def test_no_more_than_eight_run_at_a_time_and_those_that_ended_make_room(ask: _Asker) -> None:
    for _ in range(2):
        assert "exit status 0" in ask("exec", command="true", background=True)
    for _ in range(8):
        last = ask("exec", command="exec sleep 600", background=True)
    refused = ask.event("exec", command="exec sleep 600", background=True)
    assert "8 processes run in the background already" in refused["content"]
    ask("process", action="kill", id=_id_of(last))
    assert "running" in ask("exec", command="exec sleep 600", background=True)


def test_after_a_restart_a_process_is_said_to_be_gone(
    tmp_path: Path, env: dict[str, str], model: ScriptedProvider
) -> None:
    with agent(tmp_path, env) as first:
        begun = _Asker(first, model)("exec", command="(sleep 5; touch left) & sleep 600", background=True)
        first.kill()
    with agent(tmp_path, env) as second:
        ask = _Asker(second, model)
        gone = ask.event("process", action="poll", id=_id_of(begun))
        assert "the agent was started again" in gone["content"]
        assert "[exit status 0]" in ask("exec", command="sleep 6")
    assert not (tmp_path / "data/workspace/left").exists()
