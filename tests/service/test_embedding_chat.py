"""The local chat model: forms of answers, callers that go away, and stops in the middle."""

import json
import select
import signal
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from socket import socket
from typing import Any, ClassVar

import pytest

from tests.service.embedding import Service, environment, serving

# With this seed the story has 800 tokens; others end it after 200.
_LONG = {"messages": [{"role": "user", "content": "Write a long story."}], "temperature": 1, "seed": 9}
# Its evaluation alone takes longer than any wait below.
_LONG_PROMPT = {"messages": [{"role": "user", "content": "word " * 7500}], "max_tokens": 5}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for the tests that do it no harm."""
    folder = tmp_path_factory.mktemp("chat")
    with serving(folder, environment(folder)) as service:
        yield service


def _tool(name: str, **properties: Any) -> dict[str, Any]:
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


WEATHER = _tool("weather", city={"type": "string"}, unit={"enum": ["C", "F"]})
CLOCK = _tool("clock", zone={"enum": ["UTC", "CET"]})


class TestForms:
    """Tools and JSON: what is forced is valid, always."""

    def test_a_named_tool_is_called_with_arguments_that_fit(self, shared: Service) -> None:
        choice = {"type": "function", "function": {"name": "clock"}}
        status, found = shared.chat("Hello!", tools=[WEATHER, CLOCK], tool_choice=choice)
        assert status == 200, found
        (call,) = found["choices"][0]["message"]["tool_calls"]
        assert call["function"]["name"] == "clock"
        assert json.loads(call["function"]["arguments"])["zone"] in {"UTC", "CET"}
        assert call["id"].startswith("call_")
        assert found["choices"][0]["finish_reason"] == "tool_calls"
        assert found["choices"][0]["message"]["content"] is None
        assert found["usage"]["completion_tokens"] > 5

    @pytest.mark.parametrize("seed", [1, 2, 3])
    def test_a_required_call_is_valid_however_wild_the_sampling(self, shared: Service, seed: int) -> None:
        tools = [_tool("clock", zone={"enum": ["UTC", "CET"]}, at={"type": "integer"})]
        _, found = shared.chat("Hello!", tools=tools, tool_choice="required", temperature=2, seed=seed)
        (call,) = found["choices"][0]["message"]["tool_calls"]
        arguments = json.loads(call["function"]["arguments"])
        assert arguments["zone"] in {"UTC", "CET"}
        assert isinstance(arguments["at"], int)

    def test_a_call_streams_as_openai_streams_it(self, shared: Service) -> None:
        _, text = shared.chat("Hello!", tools=[CLOCK], tool_choice="required", stream=True)
        *events, done = [line[6:] for line in text.splitlines() if line.startswith("data: ")]
        choices = [json.loads(event)["choices"][0] for event in events]
        (call,) = [call for choice in choices for call in choice["delta"].get("tool_calls", ())]
        assert (call["index"], call["type"], call["function"]["name"]) == (0, "function", "clock")
        assert json.loads(call["function"]["arguments"])
        assert (choices[-1]["finish_reason"], done) == ("tool_calls", "[DONE]")

    def test_with_tools_left_to_choose_or_forbidden_it_answers_and_a_past_call_is_read(self, shared: Service) -> None:
        call = {"id": "c1", "type": "function", "function": {"name": "clock", "arguments": '{"zone": "UTC"}'}}
        messages = [
            {"role": "user", "content": "What time is it?"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "content": "12:34", "tool_call_id": "c1"},
        ]
        for choice in ("auto", "none"):
            body = {"messages": messages, "tools": [CLOCK], "tool_choice": choice, "max_tokens": 20, "temperature": 0}
            status, found = shared.ask("/v1/chat/completions", body)
            assert status == 200, found
            assert found["choices"][0]["finish_reason"] in {"stop", "length", "tool_calls"}

    @pytest.mark.parametrize("stream", [False, True])
    def test_a_call_it_makes_by_itself_is_a_call_and_no_text(self, shared: Service, *, stream: bool) -> None:
        call = {"id": "c1", "type": "function", "function": {"name": "clock", "arguments": '{"zone": "UTC"}'}}
        once = [{"role": "user", "content": "time?"}, {"role": "assistant", "content": None, "tool_calls": [call]}]
        # After two such exchanges even a small model goes on in the same way.
        messages = [*once, *once, once[0]]
        body = {"messages": messages, "tools": [CLOCK], "max_tokens": 60, "temperature": 0, "stream": stream}
        _, found = shared.ask("/v1/chat/completions", body)
        if stream:
            assert '"tool_calls"' in found
            assert "<tool" not in found
        else:
            assert found["choices"][0]["finish_reason"] == "tool_calls"
            assert found["choices"][0]["message"]["tool_calls"][0]["function"]["name"] == "clock"
            assert "<tool" not in (found["choices"][0]["message"]["content"] or "")

    def test_json_of_a_schema_fits_it(self, shared: Service) -> None:
        schema = {"type": "object", "properties": {"n": {"type": "integer"}, "ok": {"type": "boolean"}}}
        schema["required"] = ["n", "ok"]
        form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
        _, found = shared.chat("Hello!", response_format=form)
        made = json.loads(found["choices"][0]["message"]["content"])
        assert {key: type(value) for key, value in made.items()} == {"n": int, "ok": bool}
        assert "tool_calls" not in found["choices"][0]["message"]

    def test_a_json_object_is_one(self, shared: Service) -> None:
        _, found = shared.chat("Hello!", response_format={"type": "json_object"}, max_tokens=200)
        if found["choices"][0]["finish_reason"] == "stop":
            assert isinstance(json.loads(found["choices"][0]["message"]["content"]), dict)
        assert found["choices"][0]["message"]["content"].lstrip().startswith("{")

    @pytest.mark.parametrize(
        "hostile",
        [
            {"type": "string", "maxLength": 100_000},
            {"type": "string", "pattern": "((((a*)*)*)*)*"},
            {"type": "array", "items": {"$ref": "#"}, "minItems": 1 << 40},
            {"enum": ['\\" | "x"{0,100000} | "\\']},
            {"anyOf": [{"$ref": "#"}]},
        ],
    )
    def test_a_schema_that_would_crash_llama_cpp_does_not(self, shared: Service, hostile: dict[str, Any]) -> None:
        status, found = shared.chat("Hello!", tools=[_tool("f", x=hostile)], tool_choice="required", max_tokens=8)
        assert status == 200, found
        assert shared.process.popen.poll() is None

    REFUSED: ClassVar[list[tuple[dict[str, Any], str]]] = [
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": [WEATHER], "tool_choice": {"type": "function", "function": {"name": "no"}}}, "tool_choice"),
        ({"tools": [WEATHER], "response_format": {"type": "json_object"}}, "response_format"),
        ({"tools": [_tool("bad name")]}, "tools[0].function.name"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
    ]

    @pytest.mark.parametrize(("more", "param"), REFUSED)
    def test_what_cannot_be_is_refused_by_name(self, shared: Service, more: dict[str, Any], param: str) -> None:
        status, found = shared.chat("Hello!", **more)
        assert (status, found["error"]["code"], found["error"]["param"]) == (400, "invalid_request", param)


class TestCallers:
    """One caller does not disturb another."""

    def test_a_seed_repeats_an_answer_and_does_not_stay_for_the_next_caller(self, shared: Service) -> None:
        def said(**more: Any) -> str:
            _, found = shared.chat("Tell me something.", temperature=2, max_tokens=16, **more)
            return str(found["choices"][0]["message"]["content"])

        assert said(seed=7) == said(seed=7)
        assert len({said(), said(), said()}) > 1

    @pytest.mark.parametrize("body", [_LONG, _LONG_PROMPT, _LONG_PROMPT | {"stream": True}])
    def test_who_goes_away_before_the_first_word_ends_the_work(self, shared: Service, body: dict[str, Any]) -> None:
        shared.chat("Hello!", max_tokens=1)  # loads the model
        with shared.waiting("/v1/chat/completions", body):
            time.sleep(0.5)  # the work has begun; nothing says so from outside
        began = time.monotonic()
        assert shared.chat("Hello!", max_tokens=1)[0] == 200
        assert time.monotonic() - began < 8

    def test_one_too_many_is_told_to_come_back_and_who_has_gone_takes_no_place(self, shared: Service) -> None:
        def waiting() -> AbstractContextManager[socket]:
            return shared.waiting("/v1/chat/completions", _LONG)

        with waiting() as runs:
            with ExitStack() as clients:
                # One runs, 16 wait, and there is no room for the rest.
                sent = [clients.enter_context(waiting()) for _ in range(18)]
                answered, _, _ = select.select(sent, [], [], 10)
                heads = [one.recv(4096).lower() for one in answered]
            assert heads
            assert all(head.startswith(b"http/1.1 429") and b"retry-after: " in head for head in heads)
            deadline, is_refused = time.monotonic() + 3, True
            while is_refused:  # until the service has seen them go
                assert time.monotonic() < deadline
                with waiting() as late:
                    is_refused = bool(select.select([late], [], [], 0.3)[0])
            assert not select.select([runs], [], [], 0)[0]  # all the while it is the first one's turn

    def test_its_context_and_whether_it_calls_tools_are_listed(self, shared: Service) -> None:
        _, found = shared.ask("/v1/models")
        chat = next(one for one in found["data"] if one["kind"] == "chat")
        assert (chat["id"], chat["context"], chat["tools"]) == ("smollm2-135m", 8192, False)


class TestStops:
    """A stop waits for what runs, but not for long."""

    @pytest.mark.parametrize("body", [_LONG, _LONG_PROMPT])
    def test_sigterm_alone_ends_a_generation_after_three_seconds(self, tmp_path: Path, body: dict[str, Any]) -> None:
        with serving(tmp_path, environment(tmp_path)) as service:
            service.chat("Hello!", max_tokens=1)
            with service.waiting("/v1/chat/completions", body):
                time.sleep(0.5)
                began = time.monotonic()
                assert service.process.stop(signal.SIGTERM, timeout_s=10) == 0
                assert 2 < time.monotonic() - began < 6
            assert "Traceback" not in service.process.log
