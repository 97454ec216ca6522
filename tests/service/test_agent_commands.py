"""Commands: answered without the model, from every message, at once where they must be."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.provider import ScriptedProvider, echoes, never_ends, provider, says, waits
from tests.service.agent import Agent, agent


@pytest.fixture(scope="module")
def model() -> Iterator[ScriptedProvider]:
    with provider(echoes) as server:
        yield server


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, model: ScriptedProvider) -> Iterator[Agent]:
    """An agent for the tests that do it no harm."""
    folder = tmp_path_factory.mktemp("commands")
    env = model.env | {
        "OCG_DATA_DIR": str(folder / "data"),
        "OCG_PID_DIR": str(folder / "pids"),
        "OCG_AGENT_SOCK": str(folder / "agent.sock"),
        "PYTHONPATH": str(Path(__file__).parent.parent.parent),
    }
    with agent(folder, env) as found:
        yield found


@pytest.fixture(autouse=True)
def quiet(model: ScriptedProvider) -> Iterator[None]:
    model.play(echoes)
    yield
    model.forget()


def test_they_are_kept_in_the_log_and_never_shown_to_the_model(shared: Agent, model: ScriptedProvider) -> None:
    shared.say("one", session_id="log")
    told = shared.say("/help", session_id="log", message_id="h")
    assert "/compact" in told
    assert shared.say("/help", session_id="log", message_id="h") == told
    shared.say("two", session_id="log")
    assert [one["content"] for one in model.asked[-1]["messages"][1:]] == ["one", "you said: one", "two"]
    assert len(model.asked) == 2
    assert [text for _, text in shared.transcript("log")] == [
        "one", "you said: one", "/help", told, "two", "you said: two",
    ]  # fmt: skip


def test_a_path_goes_to_the_model_and_a_mistyped_word_does_not(shared: Agent, model: ScriptedProvider) -> None:
    assert shared.say("/etc/fstab is broken") == "you said: /etc/fstab is broken"
    assert shared.say("/hello") == "There is no command /hello. /help lists them."
    assert shared.say("/stop", kind="api") == "you said: /stop"
    assert len(model.asked) == 2


def test_new_forgets_what_was_said_and_keeps_it(shared: Agent, model: ScriptedProvider) -> None:
    shared.say("my secret is 42", session_id="new")
    assert "new beginning" in shared.say("/new", session_id="new", message_id="n")
    shared.say("hello", session_id="new")
    assert shared.say("/new", session_id="new", message_id="n"), "a repeat is told again"
    shared.say("again", session_id="new")
    assert [one["content"] for one in model.asked[-1]["messages"][1:]] == ["hello", "you said: hello", "again"]
    assert ("user", "my secret is 42") in shared.transcript("new")


def test_new_waits_for_what_was_asked_before_it(shared: Agent, model: ScriptedProvider) -> None:
    gate = threading.Event()
    model.play(waits(gate, says("first answer")), echoes)
    with ExitStack() as streams:
        opened = [streams.enter_context(shared.opened(text, session_id="order")) for text in ("one", "/new", "two")]
        opened[2].until("turn.started")
        gate.set()
        assert opened[2].rest()[-1]["text"] == "you said: two"
    assert [one["content"] for one in model.asked[-1]["messages"][1:]] == ["two"]


def test_status_usage_and_model_tell_what_is(shared: Agent) -> None:
    shared.say("one", session_id="status")
    status = shared.say("/status", session_id="status")
    assert "Model: scripted (127.0.0.1:" in status
    assert " of 31744 tokens" in status
    assert "Messages: 2\nCompactions: 0\nMemories: 0" in status
    usage = shared.say("/usage", session_id="status")
    assert "This conversation: 16 tokens (11 read, 5 written)" in usage
    assert "Today: " in usage
    assert "32768 tokens of context" in shared.say("/model", session_id="status")
    assert "Nothing has changed: no provider 'other'" in shared.say("/model other", session_id="status")
    assert "OpenAI wants a key" in shared.say("/model openai", session_id="status")
    assert "32768 tokens of context" in shared.say("/model", session_id="status")


def test_model_has_another_provider_answer_until_it_is_undone(tmp_path: Path, env: dict[str, str]) -> None:
    with provider(says("the first")) as first, provider(says("the second")) as second:
        settings = first.env | {"OCG_PROVIDER_URLS": f"vllm={second.base_url}"}
        with agent(tmp_path, env | settings) as found:
            assert "From now on: big (" in found.say("/model vllm:big", session_id="s")
            assert found.say("hi", session_id="s") == "the second"
            assert second.asked[-1]["model"] == "big"
            found.kill()
        with agent(tmp_path, env | settings) as found:  # it is kept
            assert found.say("hi", session_id="another") == "the second"
            assert "From now on: scripted (" in found.say("/model default", session_id="s")
            assert found.say("hi", session_id="s") == "the first"
            assert found.say("/model vllm:big", session_id="s")
            found.kill()
        named = settings | {"OCG_PROVIDER": "custom"}
        with agent(tmp_path, env | named) as found:
            assert found.say("hi", session_id="s") == "the second"


def test_compact_sums_up_all_but_the_last_and_heeds_the_wish(shared: Agent, model: ScriptedProvider) -> None:
    assert shared.say("/compact", session_id="compact") == "There is nothing to sum up yet."
    for at in range(3):
        shared.say(f"message {at} about ships", session_id="compact")
    model.play(says("They said things about ships."), echoes)
    told = shared.say("/compact the names of ships", session_id="compact")
    assert told.startswith("4 messages are summed up: the next prompt takes ")
    assert "Above all keep this: the names of ships." in model.asked[-1]["messages"][1]["content"]
    shared.say("go on", session_id="compact")
    system, *rest = [one["content"] for one in model.asked[-1]["messages"]]
    assert "They said things about ships." in system
    assert rest == ["message 2 about ships", "you said: message 2 about ships", "go on"]
    assert "Compactions: 1" in shared.say("/status", session_id="compact")


class TestStop:
    """/stop."""

    def test_it_ends_what_runs_and_what_waits_at_once(self, shared: Agent, model: ScriptedProvider) -> None:
        model.play(never_ends, echoes)
        with (
            shared.opened("talk", session_id="stop") as one,
            shared.opened("more", session_id="stop") as two,
            shared.opened("/new", session_id="stop") as three,
        ):
            one.until("text.delta")
            three.until("turn.started")
            began = time.monotonic()
            assert shared.say("/stop", session_id="stop") == "Stopped: one that ran, and 2 that waited."
            assert time.monotonic() - began < 1
            assert [stream.rest()[-1]["code"] for stream in (one, two, three)] == ["cancelled"] * 3
        assert model.hung_up.wait(2)
        assert shared.say("/stop", session_id="stop") == "Nothing runs."
        assert shared.say("go on", session_id="stop") == "you said: go on"

    def test_it_touches_no_other_conversation(self, shared: Agent, model: ScriptedProvider) -> None:
        gate = threading.Event()
        model.play(waits(gate, says("done")))
        with shared.opened("one", session_id="other") as one:
            one.until("turn.started")
            assert shared.say("/stop", session_id="mine") == "Nothing runs."
            gate.set()
            assert one.rest()[-1]["text"] == "done"

    def test_a_full_queue_does_not_keep_it_out(self, shared: Agent, model: ScriptedProvider) -> None:
        model.play(never_ends, echoes)
        with ExitStack() as streams:
            opened = [streams.enter_context(shared.opened(f"m{at}", session_id="full")) for at in range(8)]
            for stream in opened:
                stream.until("turn.started")
            assert shared.ask("POST", "/v1/turns", {"message": "more", "session_id": "full"})[0] == 429
            assert shared.say("/status", session_id="full").startswith("Model: scripted")
            assert shared.say("/stop", session_id="full") == "Stopped: one that ran, and 7 that waited."


def test_one_that_was_accepted_survives_a_kill(tmp_path: Path, env: dict[str, str]) -> None:
    def hangs(exchange: Any) -> None:
        exchange.closing.wait(20)

    with provider(hangs) as model:
        with (
            agent(tmp_path, env | model.env) as found,
            found.opened("talk", session_id="s") as one,
            found.opened("/new", session_id="s", message_id="n") as two,
        ):
            one.until("turn.started")
            two.until("turn.started")
            found.kill()
        model.play(echoes)
        with agent(tmp_path, env | model.env) as found:
            assert "new beginning" in found.say("/new", session_id="s", message_id="n")
            found.say("hello", session_id="s")
            assert [one["content"] for one in model.asked[-1]["messages"][1:]] == ["hello"]


def test_commands_that_pile_up_are_bounded_and_take_nobodys_place(tmp_path: Path, env: dict[str, str]) -> None:
    gate = threading.Event()
    with provider(echoes) as model, agent(tmp_path, env | model.env) as found, ExitStack() as streams:
        model.play(waits(gate, says("at last")))
        for at in range(8):
            streams.enter_context(found.opened(f"m{at}", session_id="full"))
        status, _ = found.ask("POST", "/v1/turns", {"message": "one more", "session_id": "full"})
        assert status == 429
        assert "/help" in found.say("/help", session_id="full")
        gate.set()
        assert found.say("/stop", session_id="full").startswith(("Stopped", "Nothing"))
