"""Tools that an API's client runs itself: a turn ends with their calls, and the client asks anew with the results."""

import threading
from pathlib import Path
from typing import Any

import pytest

from tests import claude
from tests.provider import KEY, Exchange, Script, ScriptedProvider, calls, echoes, plays, provider, says
from tests.service.agent import Agent, Event, agent

STREAMS = Path(__file__).parent.parent / "data" / "providers"
WEATHER = {
    "name": "weather",
    "description": "Tell the weather.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
HERE = '{"city": "Ulm"}'


def _ask(found: Agent, message: str, *context: Event, tools: Any = (WEATHER,), **options: Any) -> Event:
    """Ask as a client of an API does that has tools, and return how the turn ended."""
    fields = {"kind": "api", "context": context, "options": {"tools": tools, **options}}
    return found.turn(message, **fields)[-1]


def _answered(end: Event, *results: str, said: str = "") -> tuple[Event, ...]:
    """What a client adds to its conversation when it has run what was called."""
    called = end["tool_calls"]
    back = [
        {"role": "tool", "content": result, "tool_call_id": call["id"]}
        for call, result in zip(called, results, strict=True)
    ]
    return ({"role": "assistant", "content": said or end["text"], "tool_calls": called}, *back)


def _user(text: str) -> Event:
    return {"role": "user", "content": text}


def _offered(model: ScriptedProvider, at: int = -1) -> list[str]:
    return [tool["function"]["name"] for tool in model.asked[at].get("tools", ())]


def both(*called: tuple[str, str]) -> Script:
    """Call several tools in one reply."""

    def script(exchange: Exchange) -> None:
        exchange.begin()
        for index, (name, arguments) in enumerate(called):
            function = {"name": name, "arguments": arguments}
            exchange.delta(tool_calls=[{"index": index, "id": f"c{index}", "type": "function", "function": function}])
        exchange.end("tool_calls")

    return script


def test_a_client_runs_its_tool_and_the_model_goes_on_with_the_result(tmp_path: Path, env: dict[str, str]) -> None:
    with provider(calls("weather", HERE, text="Let me see."), says("It rains.")) as model:
        with agent(tmp_path, env | model.env) as found:
            end = _ask(found, "How is it in Ulm?")
            assert (end["type"], end["finish"], end["text"]) == ("turn.completed", "tool_calls", "Let me see.")
            (call,) = end["tool_calls"]
            assert (call["name"], call["arguments"]) == ("weather", HERE)
            last = _ask(found, "", _user("How is it in Ulm?"), *_answered(end, "rain, 7 °C"))
        assert (last["text"], last["finish"], last.get("tool_calls", [])) == ("It rains.", "stop", [])
        assert _offered(model, 0)[-1] == "weather"
        assert "memory_search" in _offered(model, 0)
        _, user, called, result = model.asked[1]["messages"]
        assert user == _user("How is it in Ulm?")
        assert called["tool_calls"] == [
            {"id": call["id"], "type": "function", "function": {"name": "weather", "arguments": HERE}}
        ]
        assert result == {"role": "tool", "content": "rain, 7 °C", "tool_call_id": call["id"]}


def test_the_end_with_its_calls_is_told_the_same_again_and_after_kill_9(tmp_path: Path, env: dict[str, str]) -> None:
    asked = {"kind": "api", "message_id": "m", "options": {"tools": [WEATHER]}}
    with provider(calls("weather", HERE)) as model:
        with agent(tmp_path, env | model.env) as found:
            told = found.turn("How is it?", **asked)
            assert [call["name"] for call in told[-1]["tool_calls"]] == ["weather"]
            assert found.turn("How is it?", **asked) == told
            found.kill()
        with agent(tmp_path, env | model.env) as found:
            assert found.turn("How is it?", **asked) == told
            turn_id, session_id = told[0]["turn_id"], told[0]["session_id"]
            assert found.events(turn_id) == told
            found.ask("GET", f"/v1/sessions/{session_id}")  # mends what is broken, and this is not
            assert found.events(turn_id) == told
        assert len(model.asked) == 1


def test_a_turn_that_was_cut_off_goes_on_as_it_was_asked_for(tmp_path: Path, env: dict[str, str]) -> None:
    began = threading.Event()

    def hangs(exchange: Exchange) -> None:
        began.set()
        exchange.closing.wait(30)

    with provider(hangs, calls("weather", HERE)) as model:
        with agent(tmp_path, env | model.env) as found:
            asked = {"kind": "api", "message_id": "m", "options": {"tools": [WEATHER], "temperature": 0.1}}
            with found.opened("How is it?", **asked) as stream:
                stream.until("turn.started")
                assert began.wait(10)
                found.kill()
        with agent(tmp_path, env | model.env) as found:
            end = found.turn("How is it?", **asked)[-1]
            assert [call["name"] for call in end["tool_calls"]] == ["weather"]
        first, again = model.asked
        assert {key: first[key] for key in ("tools", "temperature")} == {
            key: again[key] for key in ("tools", "temperature")
        }
        assert again["temperature"] == 0.1


def test_the_agents_own_tools_run_inside_and_the_client_hears_only_of_its_own(
    tmp_path: Path, env: dict[str, str]
) -> None:
    play = calls("time", '{"zone": "UTC"}'), calls("weather", HERE, call_id="call_1")
    with provider(*play) as model, agent(tmp_path, env | model.env) as found:
        end = _ask(found, "How is it now?")
        assert [call["name"] for call in end["tool_calls"]] == ["weather"]


def test_own_calls_beside_a_clients_come_first_and_nothing_is_lost(tmp_path: Path, env: dict[str, str]) -> None:
    play = both(("time", "{}"), ("weather", HERE)), calls("weather", HERE, call_id="c9")
    with provider(*play) as model, agent(tmp_path, env | model.env) as found:
        end = _ask(found, "How is it now?")
        assert [call["id"] for call in end["tool_calls"]] == ["c9"]
        results = {one["tool_call_id"]: one["content"] for one in model.asked[1]["messages"] if one["role"] == "tool"}
        assert "UTC" in results["c0"]
        assert "Call weather again" in results["c1"]


def test_of_two_tools_with_one_name_the_clients_counts(tmp_path: Path, env: dict[str, str]) -> None:
    with provider(calls("time", "{}")) as model, agent(tmp_path, env | model.env) as found:
        end = _ask(found, "the time?", tools=[{"name": "time", "description": "The ship's."}])
        assert [call["name"] for call in end["tool_calls"]] == ["time"]
        (offered,) = [one["function"] for one in model.asked[0]["tools"] if one["function"]["name"] == "time"]
        assert offered["description"] == "The ship's."


@pytest.mark.parametrize(
    ("options", "offered"),
    [
        ({"tool_choice": "required"}, ["weather"]),
        ({"tool_choice": {"name": "weather"}}, ["weather"]),
        ({"tool_choice": "none"}, ["weather"]),
        ({"tools": (), "tool_choice": "none"}, []),
        ({"tools": (), "form": {"schema": {"type": "object"}}}, []),
    ],
)
def test_what_is_forced_or_forbidden_is_about_the_clients_tools_alone(
    tmp_path: Path, env: dict[str, str], options: dict[str, Any], offered: list[str]
) -> None:
    with provider(says("well")) as model, agent(tmp_path, env | model.env) as found:
        _ask(found, "hi", **options)
        assert _offered(model) == offered
        assert ("tool_choice" in model.asked[0]) == bool(offered)


def test_ids_that_a_model_gives_again_and_again_are_made_different(tmp_path: Path, env: dict[str, str]) -> None:
    with provider(calls("weather", HERE, call_id="call_0")) as model, agent(tmp_path, env | model.env) as found:
        one, two = _ask(found, "one"), _ask(found, "two")
        assert one["tool_calls"][0]["id"] == "call_0"
        assert two["tool_calls"][0]["id"] != "call_0"


def test_what_a_provider_wants_back_with_its_calls_comes_back_though_the_client_never_saw_it(
    tmp_path: Path, env: dict[str, str]
) -> None:
    data = (STREAMS / "deepseek-reasoning-tools.sse").read_bytes()
    with provider(plays(data), says("done")) as model, agent(tmp_path, env | model.env) as found:
        tools = [{"name": name} for name in ("get_date", "get_weather", "weather", "time")]
        end = _ask(found, "How will it be?", tools=tools)
        assert end["tool_calls"], end
        _ask(found, "", _user("How will it be?"), *_answered(end, *("fine" for _ in end["tool_calls"])), tools=tools)
        called = next(one for one in model.asked[1]["messages"] if one["role"] == "assistant")
        assert called["reasoning_content"]


def test_anthropics_signed_thinking_comes_back_as_well(tmp_path: Path, env: dict[str, str]) -> None:
    with provider(claude.calls("weather", HERE, thought="Ulm?"), claude.says("It rains.")) as model:
        urls = {"OCG_PROVIDER": "anthropic", "ANTHROPIC_API_KEY": KEY}
        urls["OCG_PROVIDER_URLS"] = f"anthropic={model.base_url.removesuffix('/v1')}"
        with agent(tmp_path, env | urls) as found:
            end = _ask(found, "How is it?")
            last = _ask(found, "", _user("How is it?"), *_answered(end, "rain"))
        assert last["text"] == "It rains."
        thinking, use = model.asked[1]["messages"][1]["content"]
        assert thinking == {"type": "thinking", "thinking": "Ulm?", "signature": "SIG"}
        assert (use["name"], use["input"]) == ("weather", {"city": "Ulm"})


def test_an_answer_that_the_limit_ends_says_so_now_and_later(tmp_path: Path, env: dict[str, str]) -> None:
    def cut(exchange: Exchange) -> None:
        exchange.begin()
        exchange.delta(content="Once upon a")
        exchange.end("length")

    with provider(cut) as model, agent(tmp_path, env | model.env) as found:
        told = found.turn("a story", message_id="m", options={"max_tokens": 3})
        assert (told[-1]["text"], told[-1]["finish"]) == ("Once upon a", "length")
        assert found.turn("a story", message_id="m")[-1] == told[-1]
        assert model.asked[0]["max_tokens"] == 3
        _, transcript = found.ask("GET", f"/v1/sessions/{told[0]['session_id']}")
        assert [one["is_cut"] for one in transcript["messages"]] == [False, True]


def test_a_limit_is_never_more_than_the_context_has_room_for(tmp_path: Path, env: dict[str, str]) -> None:
    with provider(says("ok")) as model, agent(tmp_path, env | model.env | {"OCG_CONTEXT_TOKENS": "8000"}) as found:
        found.turn("hi", options={"max_tokens": 1900})
        found.turn("hi", options={"max_tokens": 1_000_000})
        assert [one["max_tokens"] for one in model.asked] == [1900, 2000]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"options": {"tools": [WEATHER]}}, "tools"),
        ({"kind": "api", "options": {"tool_choice": "required"}}, "tool_choice"),
        ({"kind": "api", "context": [{"role": "tool", "content": "x", "tool_call_id": "c"}]}, "messages"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_kept(
    tmp_path: Path, env: dict[str, str], fields: dict[str, Any], param: str
) -> None:
    with provider(echoes) as model, agent(tmp_path, env | model.env) as found:
        status, answer = found.ask("POST", "/v1/turns", {"message": "hi", **fields})
        assert (status, answer["error"]["param"]) == (400, param)
        assert not model.asked
        assert found.ask("GET", "/health")[1]["details"]["sessions"] == 0
