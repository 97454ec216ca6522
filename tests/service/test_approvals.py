"""Calls of tools that a person is asked about: allowed, denied, too late, and through everything that may come between.

The model calls `time`, which the policy of these tests has asked about.
"""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.provider import ScriptedProvider, calls, provider, says, waits
from tests.service.agent import Agent, Event, agent
from tests.service.gateway import Gateway, environment, serving

_ASK = '[[rule]]\ntool = "time"\ndecision = "ask"\n'


@pytest.fixture
def model() -> Iterator[ScriptedProvider]:
    """A model that calls the tool, then answers."""
    with provider(calls("time", "{}"), says("done")) as server:
        yield server


@pytest.fixture
def env(tmp_path: Path, free_port: int, model: ScriptedProvider) -> dict[str, str]:
    """Everything in one folder, with a policy."""
    (tmp_path / "data").mkdir()
    _rule(tmp_path, _ASK)
    return environment(tmp_path, free_port) | model.env


def _rule(folder: Path, text: str) -> None:
    path = folder / "data/policy.toml"
    path.write_text(text)
    path.chmod(0o600)


@pytest.fixture
def running(tmp_path: Path, env: dict[str, str]) -> Iterator[Agent]:
    """The agent."""
    with agent(tmp_path, env) as found:
        yield found


def _cli(env: dict[str, str], *arguments: str, status: int = 0) -> str:
    command = [sys.executable, "-m", "ocg.cli", "approval", "--manager", "direct", *arguments]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == status, done.stderr
    return done.stdout or done.stderr


def _result(events: list[Event]) -> Event:
    return next(one for one in events if one["type"] == "tool.result")


def _kinds(events: list[Event]) -> list[str]:
    return [one["type"] for one in events if one["type"] != "text.delta"]


def _answer(found: Agent, approval_id: str, answer: str, **more: str) -> tuple[int, Any]:
    return found.ask("POST", f"/v1/approvals/{approval_id}", {"answer": answer, "by": "tester"} | more)


_WHOLE = ["turn.started", "tool.call", "approval.asked", "approval.answered", "tool.result", "turn.completed"]


def test_a_call_that_is_allowed_runs_and_all_of_it_is_told_again_with_the_same_numbers(running: Agent) -> None:
    with running.opened("what time is it?") as stream:
        asked = stream.until("approval.asked")
        assert (asked["name"], asked["arguments"], asked["why"]) == ("time", "{}", "rule 1 of policy.toml says ask")
        assert asked["expires_at"] == pytest.approx(time.time() + 300, abs=10)
        (waiting,) = running.ask("GET", "/v1/approvals")[1]["approvals"]
        assert (waiting["id"], waiting["call_id"], waiting["answer"]) == (asked["approval_id"], asked["call_id"], "")
        assert _answer(running, asked["approval_id"], "allow")[0] == 200
        events = stream.rest()
    assert _kinds(events) == _WHOLE
    assert events[3] == events[3] | {"answer": "allow", "by": "tester"}
    assert "UTC" in _result(events)["content"]
    assert running.ask("GET", "/v1/approvals")[1] == {"approvals": []}
    turn_id = asked["turn_id"]
    retold = running.events(turn_id)
    assert [one for one in retold if one["type"] != "text.delta"] == [
        one for one in events if one["type"] != "text.delta"
    ]
    for event in events[:-1]:
        assert running.events(turn_id, after=event["seq"])[0]["seq"] > event["seq"]


def test_a_call_that_is_denied_does_not_run_and_the_model_is_told(running: Agent, model: ScriptedProvider) -> None:
    with running.opened("what time is it?") as stream:
        _answer(running, stream.until("approval.asked")["approval_id"], "deny")
        events = stream.rest()
    result = _result(events)
    assert result["is_error"]
    assert "time was not run: the user said no" in result["content"]
    assert model.asked[-1]["messages"][-1]["content"] == result["content"]
    assert events[-1]["text"] == "done"


def test_nobody_who_answers_is_no_and_the_turns_own_time_stands_still_meanwhile(
    tmp_path: Path, env: dict[str, str]
) -> None:
    limits = {"OCG_APPROVAL_TIMEOUT": "1.5", "OCG_TURN_TIME": "1"}
    with agent(tmp_path, env | limits) as found:
        events = found.turn("what time is it?")
        assert _kinds(events) == _WHOLE
        assert "nobody allowed it in time" in _result(events)["content"]
        assert events[3]["by"] == "timeout"
        status, late = _answer(found, events[3]["approval_id"], "allow")
        assert (status, late["error"]["code"]) == (409, "conflict")


def test_an_answer_that_comes_twice_changes_nothing_and_another_is_refused(running: Agent) -> None:
    with running.opened("what time is it?") as stream:
        approval_id = stream.until("approval.asked")["approval_id"]
        assert _answer(running, approval_id, "allow")[0] == 200
        assert _answer(running, approval_id, "allow")[0] == 200
        assert _answer(running, approval_id, "deny")[0] == 409
        stream.rest()
    assert _answer(running, "nothing", "allow")[0] == 404
    assert _answer(running, approval_id, "perhaps")[0] == 400
    assert len(running.ask("GET", "/v1/decisions")[1]["decisions"]) == 1


def test_a_call_that_waits_outlives_kill_9_and_is_asked_about_anew_by_the_same_name(
    tmp_path: Path, env: dict[str, str]
) -> None:
    with agent(tmp_path, env) as first, first.opened("what time is it?", message_id="m") as stream:
        asked = stream.until("approval.asked")
        first.kill()
        stream.rest()
    with agent(tmp_path, env) as second, second.opened("what time is it?", message_id="m", after=asked["seq"]) as rest:
        again = rest.until("approval.asked")
        assert rest.seen[0]["type"] == "turn.resumed"
        assert again["approval_id"] == asked["approval_id"]
        assert again["expires_at"] > asked["expires_at"]
        assert [one["id"] for one in second.ask("GET", "/v1/approvals")[1]["approvals"]] == [asked["approval_id"]]
        assert _answer(second, asked["approval_id"], "allow")[0] == 200
        events = rest.rest()
        assert "UTC" in _result(events)["content"]
        assert second.events(asked["turn_id"], after=asked["seq"]) == events


def test_an_answer_outlives_kill_9(tmp_path: Path, env: dict[str, str]) -> None:
    with agent(tmp_path, env) as first, first.opened("what time is it?", message_id="m") as stream:
        approval_id = stream.until("approval.asked")["approval_id"]
        assert _answer(first, approval_id, "deny")[0] == 200
        first.kill()
    with agent(tmp_path, env) as second:
        events = second.turn("what time is it?", message_id="m")
        assert "the user said no" in _result(events)["content"]
        assert len(second.ask("GET", "/v1/decisions")[1]["decisions"]) == 1


def test_a_turn_that_is_cancelled_while_it_waits_ends_the_waiting(running: Agent) -> None:
    with running.opened("what time is it?") as stream:
        asked = stream.until("approval.asked")
        running.ask("POST", f"/v1/turns/{asked['turn_id']}/cancel")
        assert stream.rest()[-1]["code"] == "cancelled"
    assert running.ask("GET", "/v1/approvals")[1] == {"approvals": []}
    assert _answer(running, asked["approval_id"], "allow")[0] == 409
    (decided,) = running.ask("GET", "/v1/decisions")[1]["decisions"]
    assert (decided["decision"], decided["by"]) == ("deny", "the turn ended")
    assert running.events(asked["turn_id"])[-1]["code"] == "cancelled"


def test_a_message_that_interrupts_is_answered_and_takes_the_question_back(running: Agent) -> None:
    with running.opened("what time is it?", session_id="s") as stream:
        stream.until("approval.asked")
        assert running.say("something else", session_id="s", mode="interrupt") == "done"
        assert stream.rest()[-1]["code"] == "cancelled"
    assert running.ask("GET", "/v1/approvals")[1] == {"approvals": []}


def test_a_message_that_steers_joins_once_there_is_an_answer(running: Agent) -> None:
    with running.opened("what time is it?", session_id="s") as stream:
        asked = stream.until("approval.asked")
        with running.opened("in Paris", session_id="s", mode="steer") as other:
            other.until("turn.started")
            _answer(running, asked["approval_id"], "allow")
            assert other.rest()[-1]["type"] == "turn.joined"
        events = stream.rest()
    assert _kinds(events) == [*_WHOLE[:-1], "message.added", "turn.completed"]
    assert [one["seq"] for one in running.events(asked["turn_id"])][-1] == events[-1]["seq"]


def test_an_answer_for_the_session_holds_in_it_and_in_no_other(running: Agent, model: ScriptedProvider) -> None:
    with running.opened("what time is it?", session_id="s") as stream:
        _answer(running, stream.until("approval.asked")["approval_id"], "allow", remember="session")
        stream.rest()
    model.play(calls("time", "{}"), says("done"))
    assert "approval.asked" not in _kinds(running.turn("and now?", session_id="s"))
    model.play(calls("time", "{}"), says("done"))
    with running.opened("and here?", session_id="other") as stream:
        _answer(running, stream.until("approval.asked")["approval_id"], "deny")
        stream.rest()
    decisions = running.ask("GET", "/v1/decisions")[1]["decisions"]
    assert [(one["session_id"], one["decision"], one["by"]) for one in decisions] == [
        ("other", "deny", "tester"),
        ("s", "allow", "session"),
        ("s", "allow", "tester"),
    ]


@pytest.mark.parametrize(
    "other", [{"asker": {"name": "bot", "is_owner": False}}, {"reply_to": {"channel": "telegram", "address": "1"}}]
)
def test_an_answer_for_the_session_is_none_to_who_else_speaks_in_it(
    running: Agent, model: ScriptedProvider, other: dict[str, Any]
) -> None:
    for speaker in ({}, other):
        model.play(calls("time", "{}"), says("done"))
        with running.opened("what time is it?", session_id="s", **speaker) as stream:
            _answer(running, stream.until("approval.asked")["approval_id"], "allow", remember="session")
            stream.rest()
    for speaker in ({}, other):
        model.play(calls("time", "{}"), says("done"))
        assert "approval.asked" not in _kinds(running.turn("and now?", session_id="s", **speaker))


def test_rules_are_read_again_by_a_reload_and_a_mistake_in_them_changes_nothing(
    tmp_path: Path, running: Agent, model: ScriptedProvider
) -> None:
    for text, said in ((_ASK.replace("ask", "deny"), "READY=1"), ("[[rule]]\n", "policy.toml")):
        _rule(tmp_path, text)
        running.process.notifications.clear()
        running.process.popen.send_signal(signal.SIGHUP)
        running.process.wait_for(said)
        model.play(calls("time", "{}"), says("done"))
        assert "rule 1 of policy.toml says deny" in _result(running.turn("what time is it?"))["content"]


def test_a_policy_with_a_mistake_in_it_starts_nothing(tmp_path: Path, env: dict[str, str]) -> None:
    _rule(tmp_path, '[[rule]]\ndecision = "maybe"\n')
    done = subprocess.run(
        [sys.executable, "-m", "ocg.agent"], env=env, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 78
    assert "policy.toml" in done.stderr


def test_a_stranger_has_no_tool_run_and_the_log_keeps_that_without_what_was_said(
    tmp_path: Path, running: Agent, model: ScriptedProvider
) -> None:
    model.play(calls("memory_store", '{"text": "A stranger was here."}'), says("done"))
    reply_to = {"channel": "telegram", "address": "1"}
    events = running.turn("remember me", session_id="s", is_stranger=True, reply_to=reply_to)
    assert "no tool is run for a stranger" in _result(events)["content"]
    assert running.ask("GET", "/v1/memories")[1] == {"memories": []}
    (decided,) = running.ask("GET", "/v1/decisions")[1]["decisions"]
    assert (decided["tool"], decided["decision"], decided["by"]) == ("memory_store", "deny", "stranger")
    assert (decided["channel"], decided["arguments"]) == ("telegram", '{"text": "A stranger was here."}')
    running.ask("DELETE", "/v1/sessions/s")
    (kept,) = running.ask("GET", "/v1/decisions")[1]["decisions"]
    assert kept == decided | {"arguments": ""}
    assert "memory_store: deny, by stranger" in running.process.log


def test_a_stranger_joins_no_turn_of_the_owners_and_has_no_part_in_what_was_allowed(
    tmp_path: Path, running: Agent, model: ScriptedProvider
) -> None:
    gate = threading.Event()
    model.play(waits(gate, says("to the owner")), says("to the stranger"))
    with running.opened("hello", session_id="s") as owner:
        owner.until("turn.started")
        with running.opened("and me?", session_id="s", mode="steer", is_stranger=True) as stranger:
            gate.set()
            assert stranger.rest()[-1]["text"] == "to the stranger"
        assert owner.rest()[-1]["text"] == "to the owner"
    model.play(calls("time", "{}"), says("done"))
    with running.opened("what time is it?", session_id="s") as owner:
        _answer(running, owner.until("approval.asked")["approval_id"], "allow", remember="session")
        owner.rest()
    _rule(tmp_path, _ASK + _ASK.replace("decision", "stranger = true\ndecision"))
    running.process.notifications.clear()
    running.process.popen.send_signal(signal.SIGHUP)
    running.process.wait_for("READY=1")
    model.play(calls("time", "{}"), says("done"))
    with running.opened("what time is it?", session_id="s", is_stranger=True) as stranger:
        _answer(running, stranger.until("approval.asked")["approval_id"], "deny")
        stranger.rest()


def test_the_command_line_lists_answers_and_shows_the_log(running: Agent, env: dict[str, str]) -> None:
    with running.opened("what time is it?") as stream:
        approval_id = stream.until("approval.asked")["approval_id"]
        assert _cli(env, "list").startswith(f"{approval_id}  time {{}}  rule 1 of policy.toml says ask; ")
        assert json.loads(_cli(env, "list", "--json"))["id"] == approval_id
        assert _cli(env, "allow", approval_id) == "time: allow\n"
        stream.rest()
    assert _cli(env, "list") == ""
    assert _cli(env, "log").split()[2:] == ["allow", "time", "{}", "cli"]
    assert json.loads(_cli(env, "log", "--json"))["by"] == "cli"
    assert "decided on before" in _cli(env, "deny", approval_id, status=1)
    assert "no approval" in _cli(env, "allow", "nothing", status=1)


@pytest.fixture
def gateway(tmp_path: Path, env: dict[str, str], running: Agent) -> Iterator[Gateway]:
    """A gateway before it."""
    del running
    with serving(tmp_path, env) as found:
        yield found


def test_over_http_the_owner_answers_and_a_token_for_chats_does_not(gateway: Gateway, running: Agent) -> None:
    token = gateway.ask("POST", "/v1/tokens", {"name": "laptop", "scopes": ["chat"]}).json["token"]
    chat = {"Authorization": f"Bearer {token}"}
    with running.opened("what time is it?") as stream:
        path = f"/v1/approvals/{stream.until('approval.asked')['approval_id']}"
        (waiting,) = gateway.ask("GET", "/v1/approvals").json["approvals"]
        assert path.endswith(waiting["id"])
        assert gateway.ask("GET", "/v1/approvals", headers=chat).status == 403
        assert gateway.ask("POST", path, {"answer": "allow"}, headers=chat).status == 403
        assert gateway.ask("POST", path, {"answer": "allow", "by": "somebody else"}).json["by"] == "owner"
        assert stream.until("approval.answered")["by"] == "owner"
        stream.rest()
    (decided,) = gateway.ask("GET", "/v1/decisions?limit=5").json["decisions"]
    assert (decided["decision"], decided["by"]) == ("allow", "owner")
    assert gateway.ask("GET", "/v1/decisions?limit=0").status == 400


def test_over_the_websocket_the_owner_answers_and_others_hear_that_they_may_not(gateway: Gateway) -> None:
    token = gateway.ask("POST", "/v1/tokens", {"name": "laptop", "scopes": ["chat"]}).json["token"]
    with gateway.socket() as socket, gateway.socket({"Authorization": f"Bearer {token}"}) as other:
        socket.send(json.dumps({"type": "turn", "message": "what time is it?"}))
        while (event := json.loads(socket.recv(timeout=20)))["type"] != "approval.asked":
            pass
        given = {"type": "approval", "approval_id": event["approval_id"], "answer": "allow"}
        other.send(json.dumps(given))
        refused = json.loads(other.recv(timeout=20))
        assert (refused["type"], refused["code"]) == ("error", "forbidden")
        assert refused["approval_id"] == event["approval_id"]
        socket.send(json.dumps(given))
        answered = json.loads(socket.recv(timeout=20))
        assert (answered["type"], answered["answer"], answered["by"]) == ("approval.answered", "allow", "owner")


def test_an_openai_client_hears_nothing_of_it_and_gets_its_answer(gateway: Gateway) -> None:
    said: list[Any] = []
    ask = {"model": "ocg", "messages": [{"role": "user", "content": "what time is it?"}], "stream": True}
    asking = threading.Thread(target=lambda: said.append(gateway.ask("POST", "/v1/chat/completions", ask)))
    asking.start()
    try:
        while not (waiting := gateway.ask("GET", "/v1/approvals").json["approvals"]):
            time.sleep(0.02)
        gateway.ask("POST", f"/v1/approvals/{waiting[0]['id']}", {"answer": "allow"})
    finally:
        asking.join()
    assert said[0].status == 200
    assert b"approval" not in said[0].body
    assert b'"content":"done"' in said[0].body
