"""ocg-agent with a scripted model: long conversations are summed up, long results kept, the user's files shown."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.provider import ScriptedProvider, calls, fails, provider, says, waits
from tests.service.agent import Agent, agent

_RECORD = says("The user told the assistant about ships and storms.\n\nFACTS\n- The user is called Ada.")
_STORY = "a ship and a storm and the user told the assistant about it " * 30
_SMALL = {"OCG_CONTEXT_TOKENS": "4608", "OCG_AUTO_RECALL": "no"}


def _is_summary(body: dict[str, Any]) -> bool:
    return "You keep the record" in body["messages"][0]["content"]


def _summaries(model: ScriptedProvider) -> list[dict[str, Any]]:
    return [body for body in model.asked if _is_summary(body)]


def _answers(exchange: Any) -> None:
    """Sum up when that is asked, else answer."""
    (_RECORD if _is_summary(exchange.body) else says("I see."))(exchange)


@pytest.fixture
def scripted() -> Iterator[ScriptedProvider]:
    with provider(_answers) as model:
        yield model


def _tell(found: Agent, count: int, session_id: str = "s") -> None:
    for at in range(count):
        found.say(f"Chapter {at}: {_STORY}", session_id=session_id)


class TestCompaction:
    """What the model is shown of a long conversation."""

    def test_it_is_summed_up_the_originals_stay_and_it_is_so_after_a_restart(
        self, tmp_path: Path, env: dict[str, str], scripted: ScriptedProvider
    ) -> None:
        env = env | scripted.env | _SMALL
        with agent(tmp_path, env) as found:
            _tell(found, 6)
            done = len(_summaries(scripted))
            assert f"Compactions: {done}" in found.say("/status", session_id="s")
            body = scripted.asked[-1]
            system = body["messages"][0]["content"]
            assert "The user told the assistant about ships and storms." in system
            assert not any("Chapter 0" in one["content"] for one in body["messages"])
            kept = [text for role, text in found.transcript("s") if role == "user"]
            assert kept == [*(f"Chapter {at}: {_STORY}" for at in range(6)), "/status"]
            listed = found.ask("GET", "/v1/memories")[1]["memories"]
            assert listed == [], "OCG_AUTO_CAPTURE is off"
            found.process.stop()
        with agent(tmp_path, env) as found:
            found.say("Go on.", session_id="s")
            assert len(_summaries(scripted)) == done >= 1, "done once, it is not done again"
            assert "about ships and storms" in scripted.asked[-1]["messages"][0]["content"]

    def test_killed_in_the_middle_it_is_taken_up_as_if_nothing_had_been(
        self, tmp_path: Path, env: dict[str, str], scripted: ScriptedProvider
    ) -> None:
        env = env | scripted.env | _SMALL
        never = threading.Event()
        with agent(tmp_path, env) as found:
            _tell(found, 4)
            asked = len(scripted.asked)
            scripted.play(waits(never, says("too late")))
            with found.opened(f"Chapter 4: {_STORY}", session_id="s", message_id="m") as stream:
                stream.until("turn.started")
                _wait_for(lambda: len(scripted.asked) > asked)
                assert _is_summary(scripted.asked[-1])
                found.kill()
        scripted.play(_answers)
        with agent(tmp_path, env) as found:
            assert found.say(f"Chapter 4: {_STORY}", session_id="s", message_id="m") == "I see."
            *_, cut_off, again = _summaries(scripted)
            assert again == cut_off
            assert "about ships and storms" in scripted.asked[-1]["messages"][0]["content"]
            roles = [role for role, _ in found.transcript("s")]
            assert roles == ["user", "assistant"] * 5
            assert "Compactions: 2" in found.say("/status", session_id="s")
        never.set()

    def test_without_a_summary_the_turn_goes_on_and_the_oldest_is_left_out(
        self, tmp_path: Path, env: dict[str, str], scripted: ScriptedProvider
    ) -> None:
        def refuses(exchange: Any) -> None:
            (fails(400) if _is_summary(exchange.body) else says("I see."))(exchange)

        scripted.play(refuses)
        with agent(tmp_path, env | scripted.env | _SMALL) as found:
            _tell(found, 8)
            assert len(_summaries(scripted)) == 1, "a session whose summary failed is left alone for a while"
            said = [one["content"] for one in scripted.asked[-1]["messages"]]
            assert "summed up" not in said[0]
            assert not any("Chapter 0" in one for one in said)
            assert said[-1] == f"Chapter 7: {_STORY}"
            assert "could not be summed up" in found.process.log
            answer = found.fail("/compact", session_id="s")
            assert answer["code"] == "provider_error"
            assert len(found.transcript("s")) == 17


class TestFiles:
    """What the user writes about the agent."""

    def test_a_change_is_shown_at_the_next_turn(
        self, tmp_path: Path, env: dict[str, str], scripted: ScriptedProvider
    ) -> None:
        folder = tmp_path / "mine"
        with agent(tmp_path, env | scripted.env | {"OCG_WORKSPACE": str(folder)}) as found:
            found.say("hello")
            assert "You are OCG" in scripted.asked[-1]["messages"][0]["content"]
            assert "<!--" not in scripted.asked[-1]["messages"][0]["content"]
            (folder / "SOUL.md").write_text("You are Bob.")
            (folder / "USER.md").write_text("Ada, from Oslo.")
            found.say("hello")
            system = scripted.asked[-1]["messages"][0]["content"]
            assert system.startswith("You are Bob.")
            assert "The user:\nAda, from Oslo." in system
            found.turn("who is it?", is_stranger=True)
            system = scripted.asked[-1]["messages"][0]["content"]
            assert (system.startswith("You are Bob."), "Ada" in system) == (True, False)


class TestResults:
    """Results of tools that are too long."""

    def test_the_model_reads_on_in_what_was_cut(
        self, tmp_path: Path, env: dict[str, str], scripted: ScriptedProvider
    ) -> None:
        with agent(tmp_path, env | scripted.env) as found:
            for at in range(20):
                text = f"memory {at} of Ada: " + "x" * 1900 + f" end {at}"
                assert found.ask("POST", "/v1/memories", {"text": text})[0] == 200

            def reads_on(exchange: Any) -> None:
                shown = exchange.body["messages"][-1]["content"]
                result_id, offset = shown.split("id=")[1].split(" ")[0], shown.split("offset=")[1].split(" ")[0]
                arguments = f'{{"id": "{result_id}", "offset": {offset}, "limit": 8000}}'
                calls("read_result", arguments, call_id="call_1")(exchange)

            scripted.play(calls("memory_search", '{"query": "memory of Ada", "limit": 20}'), reads_on, says("read"))
            events = found.turn("What do you know of Ada?", session_id="s")
            assert events[-1]["type"] == "turn.completed", events[-1]
            first, second = (one["content"] for one in events if one["type"] == "tool.result")
            assert len(first) <= 16_000
            assert "go on at offset=" in second
            half = first[: first.index("\n\n[…")]
            assert not first.startswith(second[:500])
            assert "memory" in second
            assert len(half) > 7000
            assert ("tool", first) in found.transcript("s")


def _wait_for(condition: Any, timeout_s: float = 10.0) -> None:
    import time

    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_model_that_refuses_the_newest_exchange_is_shown_less_of_its_results(
    tmp_path: Path, env: dict[str, str]
) -> None:
    refused = fails(400, {"error": {"message": "This model's maximum context length is 9 tokens"}})
    long = "a fact of some length. " * 300
    with (
        provider(calls("memory_search", '{"query": "fact length"}'), refused, says("fits"), refused) as model,
        agent(tmp_path, env | model.env) as found,
    ):
        found.ask("POST", "/v1/memories", {"text": long})
        assert found.say("look", session_id="s") == "fits"
        results = [one["messages"][-1]["content"] for one in model.asked[1:]]
        assert len(results[1]) < len(results[0])
        assert found.fail("again", session_id="s")["code"] == "context_length_exceeded"
        # Three times less of what is older, and with nothing to cut no further try.
        assert len(model.asked) <= 3 + 4
