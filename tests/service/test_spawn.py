"""Sub-agents of a running agent: what they may, how they end, and what becomes of them when the agent dies.

One model plays all: what is said to it says whose turn it is.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.provider import Exchange, Script, calls, provider, says, user_said, waits
from tests.service.agent import Agent, Event, agent
from tests.service.gateway import environment

_SUB = "You are a sub-agent"


class Played:
    """Scripts by what the turn was asked, one after the other; the last for ever. `asked` are the requests."""

    def __init__(self, **scripts: list[Script]) -> None:
        self.asked: dict[str, list[dict[str, Any]]] = {name: [] for name in scripts}
        self._scripts = scripts
        self._lock = threading.Lock()

    def __call__(self, exchange: Exchange) -> None:
        name = user_said(exchange.body)
        with self._lock:
            scripts = self._scripts[name]
            script = scripts.pop(0) if len(scripts) > 1 else scripts[0]
            self.asked[name].append(exchange.body)
        script(exchange)


def spawning(*tasks: str, **more: Any) -> Script:
    return calls("spawn", json.dumps({"tasks": tasks} | more))


def tells(exchange: Exchange) -> None:
    """Answer with the last result of a tool."""
    says(exchange.body["messages"][-1]["content"])(exchange)


def _system(body: dict[str, Any]) -> str:
    return str(body["messages"][0]["content"])


def _tools(body: dict[str, Any]) -> set[str]:
    return {one["function"]["name"] for one in body.get("tools", ())}


@pytest.fixture
def env(tmp_path: Path, free_port: int) -> dict[str, str]:
    (tmp_path / "data").mkdir()
    return environment(tmp_path, free_port)


@pytest.fixture
def start(tmp_path: Path, env: dict[str, str]) -> Iterator[Callable[..., Agent]]:
    """Runs an agent with a model, until the test ends."""
    with ExitStack() as stack:

        def begin(played: Script, **more: str) -> Agent:
            model = stack.enter_context(provider(played))
            return stack.enter_context(agent(tmp_path, env | model.env | more))

        yield begin


def _rules(tmp_path: Path, text: str) -> None:
    path = tmp_path / "data/policy.toml"
    path.write_text(text)
    path.chmod(0o600)


def _children(found: Agent) -> list[Event]:
    """What was decided in sub-agents' conversations."""
    decided = found.ask("GET", "/v1/decisions")[1]["decisions"]
    return [one for one in decided if one["session_id"].startswith("spawn@")]


def test_their_answers_come_back_and_nobody_sees_their_conversations(start: Callable[..., Agent]) -> None:
    played = Played(go=[spawning("one", "two"), tells], one=[says("1")], two=[says("2")])
    found = start(played)
    answer = found.say("go", session_id="s")
    assert "\n# Task 1\n\n1\n\n# Task 2\n\n2\n" in answer
    assert answer.startswith("<outside-"), "they may tell of what they read there"
    assert _SUB in _system(played.asked["one"][0])
    assert _SUB not in _system(played.asked["go"][0])
    assert _tools(played.asked["go"][0]) - _tools(played.asked["one"][0]) == {"spawn"}
    assert [one["id"] for one in found.ask("GET", "/v1/sessions")[1]["sessions"]] == ["s"]


def test_they_work_at_the_same_time(start: Callable[..., Agent]) -> None:
    both = threading.Barrier(2, timeout=30)

    def meets(exchange: Exchange) -> None:
        both.wait()
        says("met")(exchange)

    found = start(Played(go=[spawning("one", "two"), tells], one=[meets], two=[meets]))
    assert found.say("go").count("met") == 2


def test_what_one_takes_counts_for_who_asked_for_it(start: Callable[..., Agent]) -> None:
    found = start(Played(go=[spawning("one"), says("done")], one=[says("1")]), OCG_TURN_TOKENS="30")
    last = found.fail("go")
    assert (last["code"], "the turn took 32 tokens" in last["message"]) == ("limit_reached", True), (
        "each reply takes 16"
    )


def test_one_that_fails_is_told_of_and_ends_nothing(start: Callable[..., Agent]) -> None:
    played = Played(go=[spawning("one", "two", steps=2), tells], one=[calls("time", "{}")], two=[says("2")])
    answer = start(played).say("go")
    assert "# Task 1\n\nerror: the turn took 2 steps, which is its limit" in answer
    assert "# Task 2\n\n2" in answer


def test_it_has_no_tool_that_it_was_not_given_and_none_that_is_not_there_to_give(start: Callable[..., Agent]) -> None:
    played = Played(
        go=[spawning("one", tools=["time"]), spawning("one", tools=["memory_store", "fly"]), tells],
        one=[calls("memory_store", '{"text": "x"}'), tells],
    )
    found = start(played)
    answer = found.say("go")
    assert "no tool is called 'fly'" in answer
    assert _tools(played.asked["one"][0]) == {"time"}
    assert "no tool is called 'memory_store'" in played.asked["one"][1]["messages"][-1]["content"]
    assert found.ask("GET", "/v1/memories")[1] == {"memories": []}


def test_they_are_two_deep_at_the_most(start: Callable[..., Agent]) -> None:
    played = Played(
        go=[spawning("one", tools=["spawn"]), tells],
        one=[spawning("two", tools=["spawn"]), tells],
        two=[spawning("three"), tells],
        three=[says("too deep")],
    )
    assert "sub-agents are at most 2 deep" in start(played).say("go")
    assert played.asked["three"] == []


@pytest.mark.parametrize("rule", ['session = "kiosk*"', 'channel = "irc"'])
def test_a_rule_for_whoever_asked_first_holds_for_all_that_works_for_them(
    start: Callable[..., Agent], tmp_path: Path, rule: str
) -> None:
    _rules(tmp_path, f'[[rule]]\ntool = "time"\n{rule}\ndecision = "deny"\n')
    played = Played(
        go=[spawning("one", tools=["spawn", "time"]), tells],
        one=[spawning("two", tools=["time"]), tells],
        two=[calls("time", "{}"), tells],
    )
    found = start(played)
    reply_to = {"channel": "irc", "address": "#home"}
    assert "time was not run: rule 1" in found.say("go", session_id="kiosk1", reply_to=reply_to)
    assert {one["decision"] for one in _children(found) if one["tool"] == "time"} == {"deny"}
    taken = found.ask("POST", "/v1/channels/irc/take?wait=0")[1]["deliveries"]
    assert [one["session_id"] for one in taken] == ["kiosk1"], "what a sub-agent says goes to nobody else"


def test_its_questions_are_put_to_whoever_follows_one_after_the_other(
    start: Callable[..., Agent], tmp_path: Path
) -> None:
    _rules(tmp_path, '[[rule]]\ntool = "time"\ndecision = "ask"\n')
    time = calls("time", "{}")
    found = start(Played(go=[spawning("one", "two"), tells], one=[time, tells], two=[time, tells]), OCG_TURN_TIME="60")
    with found.opened("go") as stream:
        for _ in range(2):
            asked = stream.until("approval.asked")
            assert (asked["name"], asked["why"]) == ("time", "a sub-agent's call: rule 1 of policy.toml says ask")
            call = next(one for one in stream.seen if one["type"] == "tool.call")
            assert asked["call_id"] == call["call_id"]
            path = f"/v1/approvals/{asked['approval_id']}"
            assert found.ask("POST", path, {"answer": "allow", "by": "tester"})[0] == 200
            assert stream.until("approval.answered")["approval_id"] == asked["approval_id"]
        assert stream.rest()[-1]["text"].count("UTC") >= 2
    turn_id = asked["turn_id"]
    for event in stream.seen[:-1]:  # wherever whoever follows was cut off, the rest is told, with later numbers
        rest = found.events(turn_id, after=event["seq"])
        assert rest[0]["seq"] > event["seq"]
        assert rest[-1] == stream.seen[-1]


def test_an_answer_for_the_rest_of_the_conversation_is_one_for_all_that_works_for_it(
    start: Callable[..., Agent], tmp_path: Path
) -> None:
    _rules(tmp_path, '[[rule]]\ntool = "time"\ndecision = "ask"\n')
    time = calls("time", "{}")
    played = Played(go=[spawning("one"), spawning("two"), time, says("done")], one=[time, tells], two=[time, tells])
    found = start(played)
    with found.opened("go") as stream:
        asked = stream.until("approval.asked")
        answer = {"answer": "deny", "by": "tester", "remember": "session"}
        assert found.ask("POST", f"/v1/approvals/{asked['approval_id']}", answer)[0] == 200
        events = stream.rest()
    assert [one["type"] for one in events].count("approval.asked") == 1
    results = [one["content"] for one in events if one["type"] == "tool.result"]
    assert ["time was not run" in one for one in results] == [True] * 3


def test_the_time_of_who_asked_stands_still_while_a_person_is_asked_about_a_sub_agents_call(
    start: Callable[..., Agent], tmp_path: Path
) -> None:
    _rules(tmp_path, '[[rule]]\ntool = "time"\ndecision = "ask"\n')
    played = Played(go=[spawning("one"), tells], one=[calls("time", "{}"), tells])
    found = start(played, OCG_APPROVAL_TIMEOUT="4", OCG_TURN_TIME="3")
    assert "nobody allowed it in time" in found.say("go")


def test_who_is_cancelled_takes_its_sub_agents_along(start: Callable[..., Agent]) -> None:
    begun, never = threading.Event(), threading.Event()

    def hangs(exchange: Exchange) -> None:
        begun.set()
        waits(never, says("late"))(exchange)

    found = start(Played(go=[spawning("one", tools=["spawn"])], one=[spawning("two")], two=[hangs]))
    with found.opened("go") as stream:
        turn_id = stream.until("tool.call")["turn_id"]
        assert begun.wait(30)
        assert found.ask("POST", f"/v1/turns/{turn_id}/cancel")[0] == 200
        assert stream.rest()[-1]["code"] == "cancelled"
    assert found.ask("GET", "/health")[1]["details"]["turns_running"] == 0


def test_one_that_was_cut_off_by_kill_9_is_the_same_one_after_it(tmp_path: Path, env: dict[str, str]) -> None:
    begun, gate = threading.Event(), threading.Event()

    def hangs(exchange: Exchange) -> None:
        begun.set()
        waits(gate, says("never heard"))(exchange)

    played = Played(go=[spawning("one"), tells], one=[calls("time", "{}"), hangs, says("1")])
    with provider(played) as model:
        with agent(tmp_path, env | model.env) as first, first.opened("go", message_id="m") as stream:
            stream.until("tool.call")
            assert begun.wait(30)
            first.kill()
        with agent(tmp_path, env | model.env) as second:
            assert "\n1\n" in second.say("go", message_id="m")
            time_calls = [one for one in _children(second) if one["tool"] == "time"]
    assert len(time_calls) == 1, "it went on behind its call"
    assert len(played.asked["go"]) == 2


def test_one_is_found_again_though_a_tool_that_it_was_given_is_not_there_yet(
    tmp_path: Path, env: dict[str, str]
) -> None:
    begun, gate = threading.Event(), threading.Event()

    def hangs(exchange: Exchange) -> None:
        begun.set()
        waits(gate, says("never heard"))(exchange)

    played = Played(go=[spawning("one", tools=["mcp_s_echo"]), tells], one=[hangs, says("1")])
    with provider(played) as model:
        _serve(tmp_path, "plain")
        with agent(tmp_path, env | model.env) as first:
            _await_tool(first, "mcp_s_echo")
            with first.opened("go", message_id="m") as stream:
                stream.until("tool.call")
                assert begun.wait(30)
                first.kill()
        _serve(tmp_path, "silent")
        with agent(tmp_path, env | model.env) as second:
            assert "\n1\n" in second.say("go", message_id="m")


def _serve(tmp_path: Path, mode: str) -> None:
    """Have an MCP server, tests/mcp_server.py."""
    script = Path(__file__).parents[1] / "mcp_server.py"
    server = {"command": "/usr/bin/python3", "args": ["-S", str(script), mode], "read": [str(script.parent)]}
    path = tmp_path / "data/mcp.json"
    path.write_text(json.dumps({"mcpServers": {"s": server}}))
    path.chmod(0o600)


def _await_tool(found: Agent, name: str) -> None:
    for _ in range(600):
        if any(one["name"] == name for one in found.ask("GET", "/v1/tools")[1]["tools"]):
            return
        time.sleep(0.1)
    raise AssertionError(found.process.log)


def test_a_command_that_it_left_behind_belongs_to_the_conversation_it_was_for(
    start: Callable[..., Agent], tmp_path: Path
) -> None:
    _rules(tmp_path, '[[rule]]\ntool = "exec"\ndecision = "allow"\n')
    left = calls("exec", '{"command": "sleep 600", "background": true}')
    found = start(Played(go=[spawning("one"), calls("process", '{"action": "list"}'), tells], one=[left, says("left")]))
    assert "sleep 600" in found.say("go")


def test_what_it_did_goes_with_the_conversation_it_was_for(start: Callable[..., Agent]) -> None:
    found = start(Played(go=[spawning("one"), tells], one=[calls("time", "{}"), says("1")]))
    found.say("go", session_id="s")
    (child,) = {one["session_id"] for one in _children(found)}
    assert found.transcript(child)[0] == ("user", "one")
    assert found.ask("DELETE", "/v1/sessions/s")[0] == 200
    assert found.ask("GET", f"/v1/sessions/{child}")[0] == 404
