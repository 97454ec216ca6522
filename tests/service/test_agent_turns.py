"""ocg-agent as a process, with a model that follows scripts: turns."""

import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.provider import (
    KEY,
    ScriptedProvider,
    breaks,
    calls,
    echoes,
    fails,
    never_ends,
    provider,
    says,
    user_said,
    waits,
)
from tests.service.agent import Agent, agent


@pytest.fixture(scope="module")
def model() -> Iterator[ScriptedProvider]:
    """One scripted model; each test says what it plays."""
    with provider(says("nothing")) as server:
        yield server


@pytest.fixture(scope="module")
def shared(model: ScriptedProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    """One agent for the tests that do it no harm."""
    folder = tmp_path_factory.mktemp("agent")
    with agent(folder, _environment(folder) | model.env) as found:
        yield found


@pytest.fixture(autouse=True)
def nothing_asked(model: ScriptedProvider) -> Iterator[None]:
    """Forget what a test asked, once all of it is over."""
    yield
    model.forget()


def _environment(folder: Path) -> dict[str, str]:
    return {
        "OCG_DATA_DIR": str(folder / "data"),
        "OCG_PID_DIR": str(folder / "pids"),
        "OCG_AGENT_SOCK": str(folder / "agent.sock"),
        "OCG_CONTEXT_TOKENS": "16000",
        "PYTHONPATH": str(Path(__file__).parent.parent.parent),
        "TZ": "Asia/Shanghai",
    }


def _kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"] for event in events]


class TestAnswers:
    """A turn, from the message to the answer."""

    def test_an_answer_streams_and_is_in_the_transcript(self, shared: Agent, model: ScriptedProvider) -> None:
        model.play(says("a plain answer"))
        events = shared.turn("A question\nwith a second line", message_id="plain")
        assert _kinds(events) == ["turn.started", "text.delta", "text.delta", "text.delta", "turn.completed"]
        assert [event["seq"] for event in events] == [1, 2, 8, 15, 16]  # a character of text counts one
        assert events[0]["message_id"] == "plain"
        assert events[-1]["text"] == "a plain answer"
        assert events[-1]["usage"] == {"prompt_tokens": 11, "completion_tokens": 5, "cached_tokens": 0, "cost": 0}
        session_id = events[0]["session_id"]
        assert shared.transcript(session_id) == [
            ("user", "A question\nwith a second line"),
            ("assistant", "a plain answer"),
        ]
        newest = shared.ask("GET", "/v1/sessions")[1]["sessions"][0]
        assert (newest["id"], newest["title"], newest["messages"]) == (session_id, "A question", 2)
        assert model.keys == [f"Bearer {KEY}"]

    def test_a_conversation_goes_on(self, shared: Agent, model: ScriptedProvider) -> None:
        model.play(echoes)
        shared.say("one", session_id="goes-on")
        assert shared.say("two", session_id="goes-on") == "you said: two"
        said = [(one["role"], one["content"]) for one in model.asked[-1]["messages"][1:]]
        assert said == [("user", "one"), ("assistant", "you said: one"), ("user", "two")]

    def test_a_tool_is_run_and_its_result_goes_to_the_model(self, shared: Agent, model: ScriptedProvider) -> None:
        model.play(calls("time", '{"zone": "Europe/Paris"}', text="Let me see."), says("late"))
        events = shared.turn("what time is it?")
        assert _kinds(events) == [
            "turn.started",
            "text.delta",
            "tool.call",
            "tool.result",
            "text.delta",
            "turn.completed",
        ]
        call, result = events[2], events[3]
        assert (call["name"], call["arguments"]) == ("time", '{"zone": "Europe/Paris"}')
        assert "UTC+0" in result["content"]
        told = model.asked[1]["messages"][-1]
        assert (told["role"], told["tool_call_id"], told["content"]) == ("tool", call["call_id"], result["content"])
        assert events[-1]["usage"] == {"prompt_tokens": 22, "completion_tokens": 10, "cached_tokens": 0, "cost": 0}

    def test_the_same_call_id_in_every_reply_is_no_answer_to_the_next(
        self, shared: Agent, model: ScriptedProvider
    ) -> None:
        model.play(calls("time", "{}"), calls("time", '{"zone": "UTC"}'), says("done"))
        events = shared.turn("twice")
        assert _kinds(events).count("tool.result") == 2
        assert len({event["call_id"] for event in events if event["type"] == "tool.call"}) == 2

    @pytest.mark.parametrize(
        ("name", "arguments", "says_so"),
        [
            ("time", '{"zone": "Europe/Pa', "not JSON"),
            ("time", '{"zone": 5}', "Expected `str`"),
            ("time", '{"zone": "Mars/Olympus"}', "IANA"),
            ("time", f'{{"zone": "UTC", "x": {"[" * 5000}', "not JSON"),
            ("memory_search", "{}", "query"),
            ("rm_rf", "{}", "the tools are time, memory_search, memory_store"),
        ],
    )
    def test_a_wrong_call_is_told_to_the_model_and_the_turn_goes_on(
        self, shared: Agent, model: ScriptedProvider, name: str, arguments: str, says_so: str
    ) -> None:
        model.play(calls(name, arguments), says("sorry"))
        events = shared.turn("do it")
        (result,) = [event for event in events if event["type"] == "tool.result"]
        assert result["is_error"]
        assert says_so in result["content"]
        assert events[-1]["text"] == "sorry"
        # Half a JSON text in a conversation makes servers that read it refuse every later request.
        sent = model.asked[1]["messages"][-2]["tool_calls"][0]["function"]["arguments"]
        assert sent == (arguments if arguments.endswith("}") else "{}")

    def test_a_model_that_calls_tools_for_ever_is_stopped(self, shared: Agent, model: ScriptedProvider) -> None:
        number = itertools.count()

        def script(exchange: Any) -> None:
            calls("memory_search", f'{{"query": "x{next(number)}"}}')(exchange)

        model.play(script)
        failed = shared.fail("loop")
        assert (failed["code"], "32 steps" in failed["message"]) == ("limit_reached", True)
        assert "OCG_TURN_STEPS" in failed["hint"]
        assert len(model.asked) == 32

    def test_an_api_turn_sees_its_context_and_is_in_no_list(self, shared: Agent, model: ScriptedProvider) -> None:
        model.play(echoes)
        context = [
            {"role": "system", "content": "Speak like a pirate."},
            {"role": "user", "content": "before"},
            {"role": "assistant", "content": "arr"},
        ]
        (started, *_) = shared.turn("now", kind="api", context=context)
        sent = model.asked[0]["messages"]
        assert "Speak like a pirate." in sent[0]["content"]
        assert [one["content"] for one in sent[1:]] == ["before", "arr", "now"]
        listed = shared.ask("GET", "/v1/sessions")[1]["sessions"]
        assert started["session_id"] not in {one["id"] for one in listed}
        assert shared.transcript(started["session_id"]) == [("user", "now"), ("assistant", "you said: now")]


class TestContext:
    """What fits and what does not; the model here has 16,000 tokens."""

    def test_a_message_too_long_for_the_model_fails_with_both_numbers(
        self, shared: Agent, model: ScriptedProvider
    ) -> None:
        failed = shared.fail("word " * 16000)
        assert failed["code"] == "context_length_exceeded"
        assert "the model has 16000" in failed["message"]
        # 80,000 bytes at 3 a token, the answer's room, the system prompt and the tools.
        assert 28_000 < int(failed["message"].split()[7]) < 36_000
        assert not model.asked

    def test_the_oldest_is_left_out_and_the_newest_stays(self, shared: Agent, model: ScriptedProvider) -> None:
        model.play(says("ok"))
        for number in range(5):
            shared.say(f"message {number} " + "filler " * 2800, session_id="long")
        sent = [one["content"][:9] for one in model.asked[-1]["messages"] if one["role"] == "user"]
        assert sent == ["message 4"]

    def test_when_the_model_counts_otherwise_less_is_sent(self, shared: Agent, model: ScriptedProvider) -> None:
        model.play(says("ok"))
        for number in range(3):
            shared.say(f"message {number} " + "filler " * 100, session_id="counts")
        model.play(fails(400, {"error": {"message": "This model's maximum context length is 9 tokens"}}), says("fits"))
        assert shared.say("the last", session_id="counts") == "fits"
        assert len(model.asked[-1]["messages"]) < len(model.asked[-2]["messages"])
        assert user_said(model.asked[-1]) == "the last"


class TestProviders:
    """A provider on its bad days."""

    def test_too_many_requests_is_waited_for(self, shared: Agent, model: ScriptedProvider) -> None:
        model.play(fails(429, Retry_After="0"), fails(503), says("there you are"))
        assert shared.say("hello") == "there you are"
        assert len(model.asked) == 3

    def test_a_wait_that_is_too_long_is_not_waited_for(self, shared: Agent, model: ScriptedProvider) -> None:
        model.play(fails(429, {"error": {"message": "come back tomorrow"}}, Retry_After="3600"))
        failed = shared.fail("hello")
        assert "HTTP 429: come back tomorrow" in failed["message"]
        assert len(model.asked) == 1

    def test_a_server_error_that_stays_is_told_with_its_status(self, shared: Agent, model: ScriptedProvider) -> None:
        model.play(fails(500, b"<html>oops"))
        failed = shared.fail("hello")
        assert failed["code"] == "provider_error"
        assert "HTTP 500: <html>oops" in failed["message"]
        assert "127.0.0.1" in failed["message"]
        assert len(model.asked) == 3

    @pytest.mark.parametrize(
        ("status", "hint"), [(401, "OCG_API_KEY"), (404, "OCG_MODEL"), (400, "status"), (307, "OCG_BASE_URL")]
    )
    def test_a_refusal_is_told_at_once_with_what_to_do(
        self, shared: Agent, model: ScriptedProvider, status: int, hint: str
    ) -> None:
        model.play(fails(status, {"error": {"message": f"no: {KEY}", "code": None, "type": "x"}}))
        failed = shared.fail("hello")
        assert failed["code"] == "provider_error"
        assert f"HTTP {status}: no: [key]" in failed["message"]
        assert hint in failed["hint"]
        assert len(model.asked) == 1
        assert KEY not in shared.process.log

    def test_a_broken_stream_keeps_what_was_said_and_is_not_asked_again(
        self, shared: Agent, model: ScriptedProvider
    ) -> None:
        model.play(breaks("half of it"))
        events = shared.turn("hello", session_id="broken")
        assert events[-1]["code"] == "provider_error"
        assert "in the middle" in events[-1]["message"]
        assert shared.transcript("broken")[1:] == [("assistant", "half of it")]
        assert len(model.asked) == 1

    def test_an_error_in_the_stream_is_told(self, shared: Agent, model: ScriptedProvider) -> None:
        def script(exchange: Any) -> None:
            exchange.begin()
            exchange.raw(b'data: {"error": {"message": "overloaded"}}\n\n')

        model.play(script)
        assert "overloaded" in shared.fail("hello")["message"]

    def test_a_newer_name_for_the_limit_is_taken(self, shared: Agent, model: ScriptedProvider) -> None:
        refusal = {"error": {"message": "Unsupported parameter: use 'max_completion_tokens' instead."}}
        model.play(fails(400, refusal), says("ok"))
        assert shared.say("hello") == "ok"
        assert "max_tokens" not in model.asked[1]
        assert model.asked[1]["max_completion_tokens"] > 0


class TestQueue:
    """Several messages at once."""

    def test_two_messages_in_one_session_are_answered_in_order(self, shared: Agent, model: ScriptedProvider) -> None:
        gate = threading.Event()
        model.play(waits(gate, says("first answer")), says("second answer"))
        with shared.opened("one", session_id="order") as one, shared.opened("two", session_id="order") as two:
            two.until("turn.started")
            gate.set()
            assert two.rest()[-1]["text"] == "second answer"
            assert one.rest()[-1]["text"] == "first answer"
        assert [text for _, text in shared.transcript("order")] == ["one", "first answer", "two", "second answer"]

    def test_sessions_run_side_by_side(self, shared: Agent, model: ScriptedProvider) -> None:
        gate = threading.Event()
        model.play(waits(gate, says("slow")), says("fast"))
        with shared.opened("one") as one:
            _wait_for(lambda: len(model.asked) == 1)
            assert shared.say("two") == "fast"
            gate.set()
            assert one.rest()[-1]["text"] == "slow"

    def test_a_full_queue_says_busy_and_keeps_nothing(self, shared: Agent, model: ScriptedProvider) -> None:
        gate = threading.Event()
        model.play(waits(gate, says("at last")), echoes)
        with ExitStack() as streams:
            opened = [
                streams.enter_context(shared.opened(f"m{n}", session_id="full", message_id=f"full-{n}"))
                for n in range(8)
            ]
            status, error = shared.ask("POST", "/v1/turns", {"message": "one more", "session_id": "full"})
            assert (status, error["error"]["code"]) == (429, "busy")
            with shared.opened("m3", session_id="full", message_id="full-3") as again:  # a repeat needs no place
                assert again.until("turn.started")["message_id"] == "full-3"
            gate.set()
            assert opened[7].rest()[-1]["text"] == "you said: m7"
        assert "one more" not in [text for _, text in shared.transcript("full")]

    def test_a_client_that_leaves_ends_nothing(self, shared: Agent, model: ScriptedProvider) -> None:
        gate = threading.Event()
        model.play(waits(gate, says("to nobody")))
        with shared.opened("hello", session_id="leaves") as stream:
            stream.until("turn.started")
        gate.set()
        _wait_for(lambda: ("assistant", "to nobody") in shared.transcript("leaves"))

    def test_a_turn_that_is_its_clients_alone_ends_soon_after_it(self, shared: Agent, model: ScriptedProvider) -> None:
        model.play(never_ends)
        with shared.opened("hello", kind="api") as stream:
            turn_id = stream.until("turn.started")["turn_id"]
            stream.until("text.delta")
        _wait_for(lambda: shared.ask("GET", f"/v1/turns/{turn_id}")[1]["state"] == "failed", 15)

    def test_a_repeat_joins_the_turn_that_runs_from_its_beginning(self, shared: Agent, model: ScriptedProvider) -> None:
        gate = threading.Event()
        model.play(waits(gate, says(""), first="begun"))
        with shared.opened("hello", message_id="join") as one:
            one.until("text.delta")
            with shared.opened("hello", message_id="join") as two:
                two.until("text.delta")
                gate.set()
                assert two.rest() == one.rest()
        assert len(model.asked) == 1

    def test_a_repeat_of_a_finished_turn_is_told_from_disk(self, shared: Agent, model: ScriptedProvider) -> None:
        model.play(calls("time", '{"zone": "Nowhere"}'), says("an answer"), says("another"))
        first, again = shared.turn("hello", message_id="told"), shared.turn("hello", message_id="told")
        assert again[-1] == first[-1] | {"seq": again[-1]["seq"]}
        assert next(one for one in again if one["type"] == "tool.result")["is_error"]
        assert len(model.asked) == 2
        body = {"message": "something else", "message_id": "told"}
        assert shared.ask("POST", "/v1/turns", body)[1]["error"]["code"] == "conflict"
        body = {"message": "hello", "message_id": "told", "session_id": "another"}
        assert shared.ask("POST", "/v1/turns", body)[0] == 409


class TestCancel:
    """Ending a turn early."""

    def test_cancelling_stops_the_model_and_keeps_what_was_said(self, shared: Agent, model: ScriptedProvider) -> None:
        model.play(never_ends, echoes)
        with shared.opened("talk", session_id="cancel", message_id="cancel-1") as stream:
            turn_id = stream.until("text.delta")["turn_id"]
            began = time.monotonic()
            assert shared.ask("POST", f"/v1/turns/{turn_id}/cancel") == (200, {"count": 1})
            events = stream.rest()
        assert events[-1]["code"] == "cancelled"
        assert model.hung_up.wait(2)
        assert time.monotonic() - began < 1
        said = "".join(event["text"] for event in events if event["type"] == "text.delta")
        assert shared.transcript("cancel") == [("user", "talk"), ("assistant", said)]
        assert shared.ask("POST", f"/v1/turns/{turn_id}/cancel")[0] == 404
        assert shared.fail("talk", session_id="cancel", message_id="cancel-1")["code"] == "cancelled"
        assert shared.say("go on", session_id="cancel") == "you said: go on"

    def test_a_message_that_waits_can_be_cancelled(self, shared: Agent, model: ScriptedProvider) -> None:
        gate = threading.Event()
        model.play(waits(gate, says("first")), says("never"))
        with shared.opened("one", session_id="waits") as one, shared.opened("two", session_id="waits") as two:
            turn_id = two.until("turn.started")["turn_id"]
            shared.ask("POST", f"/v1/turns/{turn_id}/cancel")
            assert two.rest()[-1]["code"] == "cancelled"
            gate.set()
            assert one.rest()[-1]["text"] == "first"
        assert len(model.asked) == 1

    def test_deleting_a_session_ends_what_runs_in_it(self, shared: Agent, model: ScriptedProvider) -> None:
        model.play(never_ends)
        with (
            shared.opened("talk", session_id="deleted") as one,
            shared.opened("more", session_id="deleted") as two,
        ):
            one.until("text.delta")
            two.until("turn.started")
            assert shared.ask("DELETE", "/v1/sessions/deleted") == (200, {"count": 1})
            assert one.rest()[-1]["code"] == "cancelled"
            assert two.rest()[-1]["code"] == "cancelled"
        assert shared.ask("GET", "/v1/sessions/deleted")[0] == 404
        assert shared.ask("DELETE", "/v1/sessions/deleted")[0] == 404
        assert "Traceback" not in shared.process.log


class TestRequests:
    """What does not fit."""

    @pytest.mark.parametrize(
        ("body", "status", "code"),
        [
            (b"{not json", 400, "invalid_request"),
            ({}, 400, "invalid_request"),
            ({"message": ""}, 400, "invalid_request"),
            ({"message": "x", "session_id": "../etc"}, 400, "invalid_request"),
            ({"message": "x", "kind": "robot"}, 400, "invalid_request"),
            ({"message": "x", "context": [{"role": "tool", "content": ""}]}, 400, "invalid_request"),
            (b'"' + b"x" * (17 << 20) + b'"', 413, "too_large"),
        ],
    )
    def test_a_turn_that_does_not_fit_is_refused(self, shared: Agent, body: Any, status: int, code: str) -> None:
        got, found = shared.ask("POST", "/v1/turns", body)
        assert (got, found["error"]["code"]) == (status, code)
        assert found["error"]["hint"]

    def test_what_is_not_there_is_not_found(self, shared: Agent) -> None:
        for method, path in (
            ("GET", "/v1/sessions/none"),
            ("POST", "/v1/turns/none/cancel"),
            ("DELETE", "/v1/memories/none"),
            ("GET", "/nowhere"),
        ):
            assert shared.ask(method, path)[0] == 404
        assert shared.ask("GET", "/v1/memories?limit=0")[0] == 400
        assert shared.ask("POST", "/v1/memories", {"text": "x" * 9000})[0] == 400

    def test_health_tells_provider_and_model(self, shared: Agent, model: ScriptedProvider) -> None:
        status, found = shared.ask("GET", "/health")
        assert (status, found["status"], found["details"]["model"]) == (200, "ok", "scripted")
        assert found["details"]["provider"] in model.base_url
        assert found["details"]["vectors_pending"] == 0


def _wait_for(condition: Any, timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
