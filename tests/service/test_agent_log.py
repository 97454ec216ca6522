"""A turn's log: followed from any event, through kills of the agent, read as a whole; and the outbox of answers."""

import asyncio
import itertools
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from ocg.agent.schema import MIGRATIONS
from ocg.agent.store import Store
from ocg.database import Database
from ocg.protocol.messages import TurnRequest
from tests.provider import Exchange, Script, calls, echoes, never_ends, provider, says, waits
from tests.service.agent import Agent, Event, agent

IRC = {"channel": "irc", "address": "#ocg on libera"}


def _text(events: list[Event]) -> str:
    return "".join(event["text"] for event in events if event["type"] == "text.delta")


class TestFollowing:
    """A client reconnects with the number of the last event it has."""

    def test_a_finished_turn_gives_the_rest_from_any_event(self, tmp_path: Path, env: dict[str, str]) -> None:
        play = calls("time", "{}", text="Let me look."), says("it is four o'clock, or nearly")
        with provider(*play) as model, agent(tmp_path, env | model.env) as found:
            whole = found.turn("the time?", message_id="m")
            turn_id, seqs = whole[0]["turn_id"], [event["seq"] for event in whole]
            for at, seq in enumerate(seqs[:-1]):
                rest = found.events(turn_id, after=seq)
                assert _text(whole[: at + 1]) + _text(rest) == _text(whole)
                assert rest[0]["seq"] > seq
                assert rest[-1] == whole[-1]
            assert found.events(turn_id, after=seqs[-1]) == [whole[-1]]  # the last one always comes
            # The same by the message id, as a client asks that never heard the turn's.
            assert found.turn("the time?", message_id="m", after=seqs[2])[-1] == whole[-1]

    def test_a_turn_that_runs_gives_what_was_missed_and_then_what_comes(
        self, tmp_path: Path, env: dict[str, str]
    ) -> None:
        gate = threading.Event()
        with (
            provider(waits(gate, says(""), first="begun and ")) as model,
            agent(tmp_path, env | model.env) as found,
            found.opened("hi") as stream,
        ):
            started, first = stream.until("turn.started"), stream.until("text.delta")
            threading.Timer(0.2, gate.set).start()
            rest = found.events(started["turn_id"], after=started["seq"] + 3)
            assert rest[0]["text"] == first["text"][3:]
            assert rest[-1]["type"] == "turn.completed"

    @pytest.mark.parametrize("after", ["-1", "x", str(2**53), "1e3", "1" * 50])
    def test_a_number_that_is_none_is_refused(self, tmp_path: Path, env: dict[str, str], after: str) -> None:
        with provider(echoes) as model, agent(tmp_path, env | model.env) as found:
            turn_id = found.turn("hi")[0]["turn_id"]
            assert found.ask("GET", f"/v1/turns/{turn_id}/events?after={after}")[0] == 400
            assert found.ask("GET", "/v1/turns/none/events")[0] == 404

    def test_what_a_kill_made_void_is_said_to_whoever_heard_it(self, tmp_path: Path, env: dict[str, str]) -> None:
        store = calls("memory_store", '{"text": "The sky is green."}', text="Noted.")
        with provider(store, never_ends) as model:
            with agent(tmp_path, env | model.env) as found, found.opened("hi", message_id="m") as stream:
                kept = stream.until("tool.result")["seq"]
                stream.until("text.delta")
                heard = stream.until("text.delta")["seq"]
                found.kill()
            model.play(says("an answer after all"))
            with agent(tmp_path, env | model.env) as found:
                rest = found.turn("hi", message_id="m", after=heard)
                assert (rest[0]["type"], rest[0]["kept"]) == ("turn.resumed", kept)
                assert _text(rest) == "an answer after all"
                # Once it is over it is told from disk, and to both in the same way.
                assert found.turn("hi", message_id="m", after=heard)[0] == rest[0]
                fresh = found.turn("hi", message_id="m", after=kept)
                assert [event["type"] for event in fresh] == ["text.delta", "turn.completed"]

    def test_two_kills_give_no_number_twice(self, tmp_path: Path, env: dict[str, str]) -> None:
        heard = 0
        with provider(never_ends) as model:
            for _ in range(3):
                with (
                    agent(tmp_path, env | model.env) as found,
                    found.opened("hi", message_id="m", after=heard) as stream,
                ):
                    event = stream.until("text.delta")
                    assert event["seq"] > heard
                    heard = event["seq"]
                    assert [one["type"] for one in stream.seen].count("turn.resumed") == (model.asked[1:] != [])
                    found.kill()
            model.play(says("done"))
            with agent(tmp_path, env | model.env) as found:
                rest = found.turn("hi", message_id="m", after=heard)
                assert (rest[0]["type"], rest[0]["kept"], _text(rest)) == ("turn.resumed", 1, "done")


def test_the_log_has_every_step_with_times_and_tokens(tmp_path: Path, env: dict[str, str]) -> None:
    with provider(calls("time", "{}"), says("four")) as model, agent(tmp_path, env | model.env) as found:
        began = time.time()
        turn_id = found.turn("the time?", message_id="m")[0]["turn_id"]
        status, kept = found.ask("GET", f"/v1/turns/{turn_id}")
        assert (status, kept["state"], kept["message"], kept["attempts"]) == (200, "completed", "the time?", 0)
        assert began <= kept["accepted_at"] <= kept["began_at"] <= kept["ended_at"] <= time.time()
        assert [step["role"] for step in kept["steps"]] == ["user", "assistant", "tool", "assistant"]
        assert [step["model"] for step in kept["steps"]] == ["", "scripted", "", "scripted"]
        assert [(step["usage"] or {}).get("prompt_tokens") for step in kept["steps"]] == [None, 11, None, 11]
        assert kept["usage"]["prompt_tokens"] == 22
        assert found.ask("GET", "/v1/turns/none")[0] == 404


class TestModes:
    """A message that comes while another is answered."""

    def test_steering_joins_the_turn_at_its_next_step(self, tmp_path: Path, env: dict[str, str]) -> None:
        gate = threading.Event()
        look = waits(gate, calls("time", "{}"))
        with (
            provider(look, echoes) as model,
            agent(tmp_path, env | model.env) as found,
            found.opened("one", session_id="s") as one,
        ):
            _wait_for(lambda: len(model.asked) == 1)
            with found.opened("two", session_id="s", mode="steer", message_id="two") as two:
                two.until("turn.started")
                gate.set()
                joined = two.rest()[-1]
                events = one.rest()
            assert (joined["type"], joined["into"]) == ("turn.joined", events[0]["turn_id"])
            assert [event["type"] for event in events if event["type"] != "text.delta"] == [
                "turn.started",
                "tool.call",
                "tool.result",
                "message.added",
                "turn.completed",
            ]
            assert events[-1]["text"] == "you said: two"
            assert len(model.asked) == 2
            assert [one["role"] for one in model.asked[1]["messages"][-4:]] == ["user", "assistant", "tool", "user"]
            assert found.turn("two", session_id="s", message_id="two")[-1] == joined
            again = found.events(events[0]["turn_id"])
            assert [event["type"] for event in again if event["type"] != "text.delta"] == [
                event["type"] for event in events if event["type"] != "text.delta"
            ]

    def test_steering_after_the_last_word_is_answered_by_the_same_turn(
        self, tmp_path: Path, env: dict[str, str]
    ) -> None:
        gate = threading.Event()
        with (
            provider(waits(gate, says("first")), echoes) as model,
            agent(tmp_path, env | model.env) as found,
            found.opened("one", session_id="s") as one,
        ):
            _wait_for(lambda: len(model.asked) == 1)
            with found.opened("two", session_id="s", mode="steer") as two:
                two.until("turn.started")
                gate.set()
                assert two.rest()[-1]["type"] == "turn.joined"
            assert one.rest()[-1]["text"] == "you said: two"
            said = ["one", "first", "two", "you said: two"]
            assert [text for _, text in found.transcript("s")] == said

    def test_steering_where_nothing_runs_is_a_turn(self, tmp_path: Path, env: dict[str, str]) -> None:
        with provider(echoes) as model, agent(tmp_path, env | model.env) as found:
            assert found.say("hi", session_id="s", mode="steer") == "you said: hi"

    def test_steering_is_answered_by_itself_when_its_turn_fails(self, tmp_path: Path, env: dict[str, str]) -> None:
        gate = threading.Event()
        broken = waits(gate, lambda exchange: exchange.error(400, {"error": {"message": "no"}}))
        with (
            provider(broken, echoes) as model,
            agent(tmp_path, env | model.env) as found,
            found.opened("one", session_id="s") as one,
        ):
            _wait_for(lambda: len(model.asked) == 1)
            with found.opened("two", session_id="s", mode="steer") as two:
                two.until("turn.started")
                gate.set()
                assert one.rest()[-1]["type"] == "turn.failed"
                assert two.rest()[-1]["text"] == "you said: two"

    def test_what_steers_is_not_lost_by_a_kill(self, tmp_path: Path, env: dict[str, str]) -> None:
        with provider(never_ends) as model:
            with (
                agent(tmp_path, env | model.env) as found,
                found.opened("one", session_id="s", message_id="one") as one,
                found.opened("two", session_id="s", message_id="two", mode="steer") as two,
            ):
                one.until("text.delta")
                two.until("turn.started")
                found.kill()
            model.play(echoes)
            with agent(tmp_path, env | model.env) as found:
                assert found.turn("two", session_id="s", message_id="two", mode="steer")[-1]["type"] == "turn.joined"
                assert found.turn("one", session_id="s", message_id="one")[-1]["text"] == "you said: two"

    def test_interrupting_ends_what_runs_and_what_waits(self, tmp_path: Path, env: dict[str, str]) -> None:
        with (
            provider(never_ends, echoes) as model,
            agent(tmp_path, env | model.env) as found,
            found.opened("one", session_id="s") as one,
            found.opened("two", session_id="s") as two,
        ):
            one.until("text.delta")
            two.until("turn.started")
            assert found.say("elsewhere", session_id="t", mode="interrupt") == "you said: elsewhere"
            began = time.monotonic()
            assert found.say("three", session_id="s", mode="interrupt") == "you said: three"
            assert time.monotonic() - began < 2
            for stream in (one, two):
                last = stream.rest()[-1]
                assert (last["code"], last["message"]) == ("cancelled", "another message came and ended the turn")

    def test_what_was_to_be_interrupted_is_not_taken_up_after_a_kill(self, tmp_path: Path, env: dict[str, str]) -> None:
        with provider(never_ends) as model:
            with agent(tmp_path, env | model.env) as found, found.opened("one", session_id="s") as one:
                one.until("text.delta")
                found.kill()
            _accepted(env, "three", mode="interrupt")
            model.play(echoes)
            with agent(tmp_path, env | model.env) as found:
                assert found.say("three", session_id="s", message_id="three") == "you said: three"
                assert [text for role, text in found.transcript("s") if role == "user"] == ["one", "three"]
                assert len(model.asked) == 2


class TestLimits:
    """How far a turn may go."""

    def test_tokens(self, tmp_path: Path, env: dict[str, str]) -> None:
        with (
            provider(_always_another()) as model,
            agent(tmp_path, env | model.env | {"OCG_TURN_TOKENS": "40"}) as found,
        ):
            failed = found.fail("go")
            assert (failed["code"], "48 tokens" in failed["message"]) == ("limit_reached", True)
            assert "OCG_TURN_TOKENS" in failed["hint"]
            assert len(model.asked) == 3

    def test_steps_without_a_limit(self, tmp_path: Path, env: dict[str, str]) -> None:
        play = [_always_another()] * 40
        with (
            provider(*play, says("done")) as model,
            agent(tmp_path, env | model.env | {"OCG_TURN_STEPS": "0"}) as found,
        ):
            assert found.say("go") == "done"

    def test_time(self, tmp_path: Path, env: dict[str, str]) -> None:
        with provider(never_ends) as model, agent(tmp_path, env | model.env | {"OCG_TURN_TIME": "0.3"}) as found:
            failed = found.fail("go")
            assert (failed["code"], "0.3 s" in failed["message"]) == ("timeout", True)

    def test_the_same_call_with_the_same_result_is_told_once_and_then_stopped(
        self, tmp_path: Path, env: dict[str, str]
    ) -> None:
        same = [calls("memory_search", f'{{"limit": 3,{" " * n}"query": "x"}}') for n in range(9)]
        with provider(*same) as model, agent(tmp_path, env | model.env) as found:
            events = found.turn("go")
            results = [event["content"] for event in events if event["type"] == "tool.result"]
            assert ["same call" in one for one in results] == [False, False, True, False, False]
            assert (events[-1]["code"], "5 times" in events[-1]["message"]) == ("limit_reached", True)
            assert len(model.asked) == 5

    def test_the_same_call_with_another_result_each_time_goes_on(self, tmp_path: Path, env: dict[str, str]) -> None:
        play = []
        for number in range(6):
            play += [calls("memory_store", f'{{"text": "The number {number} is green."}}')]
            play += [calls("memory_search", '{"query": "number green", "limit": 20}')]
        with provider(*play, says("done")) as model, agent(tmp_path, env | model.env) as found:
            assert found.say("go") == "done"


class TestOutbox:
    """Answers for a channel."""

    def test_an_answer_waits_until_it_is_settled(self, tmp_path: Path, env: dict[str, str]) -> None:
        with provider(echoes) as model:
            with agent(tmp_path, env | model.env) as found:
                found.say("hi", session_id="s", message_id="m", reply_to=IRC)
                found.say("nobody waits for this", session_id="s")
                found.kill()
            with agent(tmp_path, env | model.env) as found:
                (taken,) = _due(found)
                shown = {key: taken[key] for key in ("channel", "address", "text", "error", "message_id", "session_id")}
                assert shown == IRC | {"text": "you said: hi", "error": None, "message_id": "m", "session_id": "s"}
                assert taken["expires_at"] == pytest.approx(taken["created_at"] + 3600)
                assert _due(found) == []  # somebody has it
                assert _due(found, "matrix") == []
                assert found.ask("DELETE", f"/v1/deliveries/{taken['id']}") == (200, {"count": 1})
                assert found.ask("DELETE", f"/v1/deliveries/{taken['id']}")[0] == 404

    def test_one_that_failed_comes_again(self, tmp_path: Path, env: dict[str, str]) -> None:
        with provider(echoes) as model, agent(tmp_path, env | model.env) as found:
            found.say("hi", reply_to=IRC)
            (taken,) = _due(found)
            assert found.ask("POST", f"/v1/deliveries/{taken['id']}/failed", {"again_after_s": 0.3})[0] == 200
            assert _due(found) == []
            (again,) = _due(found, wait_s=5)
            assert (again["id"], taken["attempts"], again["attempts"]) == (taken["id"], 0, 1)

    def test_whoever_waits_has_it_at_once(self, tmp_path: Path, env: dict[str, str]) -> None:
        with provider(echoes) as model, agent(tmp_path, env | model.env) as found:
            taken: list[Any] = []
            waiting = threading.Thread(target=lambda: taken.extend(_due(found, wait_s=20)))
            waiting.start()
            began = time.monotonic()
            found.say("hi", reply_to=IRC)
            waiting.join()
            assert time.monotonic() - began < 5
            assert [one["text"] for one in taken] == ["you said: hi"]

    def test_whoever_has_gone_takes_nothing(self, tmp_path: Path, env: dict[str, str]) -> None:
        with provider(echoes) as model, agent(tmp_path, env | model.env) as found:
            with found.abandoned("POST", "/v1/channels/irc/take?wait=20"):
                assert _due(found) == []  # it was asked later, so the other waits by now
            found.say("hi", reply_to=IRC)
            assert [one["text"] for one in _due(found)] == ["you said: hi"]

    def test_a_failed_turn_is_delivered_with_its_error(self, tmp_path: Path, env: dict[str, str]) -> None:
        # Long enough that something is said: the first turn imports what it speaks with.
        with provider(never_ends) as model, agent(tmp_path, env | model.env | {"OCG_TURN_TIME": "3"}) as found:
            found.fail("hi", reply_to=IRC)
            (taken,) = _due(found)
            assert (taken["error"]["code"], taken["text"][:6]) == ("timeout", "and on")

    def test_nothing_old_is_sent(self, tmp_path: Path, env: dict[str, str]) -> None:
        with provider(echoes) as model, agent(tmp_path, env | model.env) as found:
            found.say("hi", reply_to=IRC | {"expires_s": 0.1})
            time.sleep(0.15)
            assert _due(found) == []
            assert "to irc was not delivered in time" in found.process.log

    def test_who_joined_from_elsewhere_has_the_answer_too(self, tmp_path: Path, env: dict[str, str]) -> None:
        gate = threading.Event()
        with (
            provider(waits(gate, says("first")), echoes) as model,
            agent(tmp_path, env | model.env) as found,
            found.opened("one", session_id="s", reply_to=IRC) as one,
        ):
            _wait_for(lambda: len(model.asked) == 1)
            others = [IRC, {"channel": "irc", "address": "somebody"}]
            for number, reply_to in enumerate(others):
                more = {"session_id": "s", "mode": "steer", "reply_to": reply_to}
                with found.opened(f"more {number}", **more) as stream:
                    stream.until("turn.started")
            gate.set()
            assert one.rest()[-1]["text"] == "you said: more 1"
            due = [(taken["address"], taken["text"]) for taken in _due(found)]
            assert due == [("#ocg on libera", "you said: more 1"), ("somebody", "you said: more 1")]


def _due(found: Agent, channel: str = "irc", wait_s: int = 0) -> list[Any]:
    status, body = found.ask("POST", f"/v1/channels/{channel}/take?wait={wait_s}")
    assert status == 200, body
    return list(body["deliveries"])


def _always_another() -> Script:
    """Call a tool with other arguments each time."""
    number = itertools.count()

    def script(exchange: Exchange) -> None:
        calls("memory_search", f'{{"query": "x{next(number)}"}}')(exchange)

    return script


def _accepted(env: dict[str, str], message: str, **fields: Any) -> None:
    """Have a message on disk whose agent died right after it was."""

    async def accept() -> None:
        database = await Database.open(Path(env["OCG_DATA_DIR"]) / "agent.db", MIGRATIONS)
        await Store(database).accept(TurnRequest(message=message, session_id="s", message_id=message, **fields))
        await database.close()

    asyncio.run(accept())


def _wait_for(condition: Any, timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
