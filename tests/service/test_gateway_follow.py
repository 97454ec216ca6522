"""Streams through the gateway that outlive the agent: the real gateway, the real agent, a scripted model."""

import http.client
import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.provider import echoes, never_ends, provider, says, waits
from tests.service.agent import Agent, agent
from tests.service.gateway import BEARER, Gateway, environment, serving


@pytest.fixture
def env(tmp_path: Path, free_port: int) -> dict[str, str]:
    """Everything in the test's own folder."""
    (tmp_path / "data").mkdir()
    return environment(tmp_path, free_port)


@contextmanager
def _stream(gateway: Gateway, method: str, path: str, body: Any = None, **headers: str) -> Iterator[Iterator[Any]]:
    """Ask for a stream and give its events."""
    with closing(http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)) as connection:
        connection.request(method, path, json.dumps(body) if body else None, BEARER | headers)
        with closing(connection.getresponse()) as response:
            assert response.status == 200, response.read()
            lines = (line for line in iter(response.readline, b"") if line.startswith(b"data: {"))
            yield (json.loads(line[6:]) for line in lines)


def _killed_and_back(folder: Path, env: dict[str, str], found: Agent, seconds: list[Any]) -> None:
    """Kill the agent, and have it back half a second later in a thread."""
    found.kill()

    def back() -> None:
        time.sleep(0.3)
        with agent(folder, env):
            is_over.wait(30)

    is_over = threading.Event()
    thread = threading.Thread(target=back)
    thread.start()
    seconds += [is_over, thread]


@pytest.mark.parametrize("is_joined", [False, True], ids=["started", "followed"])
def test_a_native_stream_goes_on_over_a_kill_of_the_agent(
    tmp_path: Path, env: dict[str, str], *, is_joined: bool
) -> None:
    with provider(never_ends) as model, serving(tmp_path, env) as gateway, ExitStack() as streams:
        back: list[Any] = []
        with agent(tmp_path, env | model.env) as found:
            events = streams.enter_context(_stream(gateway, "POST", "/v1/turns", {"message": "hi"}))
            began = next(events)
            if is_joined:
                path = f"/v1/turns/{began['turn_id']}/events"
                events = streams.enter_context(_stream(gateway, "GET", path))
                assert next(events) == began
            assert next(events)["type"] == "text.delta"
            model.play(says("an answer after all"))
            _killed_and_back(tmp_path, env | model.env, found, back)
            rest = list(events)
        resumed = [event for event in rest if event["type"] == "turn.resumed"]
        assert [event["kept"] for event in resumed] == [began["seq"]]
        after = rest[rest.index(resumed[0]) :]
        assert "".join(event["text"] for event in after if event["type"] == "text.delta") == "an answer after all"
        assert (rest[-1]["type"], rest[-1]["text"]) == ("turn.completed", "an answer after all")
        _end(back)


def test_a_whole_answer_is_waited_for_over_a_kill_of_the_agent(tmp_path: Path, env: dict[str, str]) -> None:
    with provider(never_ends) as model, serving(tmp_path, env) as gateway:
        back: list[Any] = []
        with agent(tmp_path, env | model.env) as found:
            asked: list[Any] = []
            body = {"messages": [{"role": "user", "content": "hi"}]}
            thread = threading.Thread(target=lambda: asked.append(gateway.ask("POST", "/v1/chat/completions", body)))
            thread.start()
            _wait_for(lambda: len(model.asked) == 1)
            model.play(echoes)
            _killed_and_back(tmp_path, env | model.env, found, back)
            thread.join()
        assert asked[0].status == 200
        assert asked[0].json["choices"][0]["message"]["content"] == "you said: hi"
        _end(back)


def test_openais_stream_cannot_take_back_what_it_said_and_says_so(tmp_path: Path, env: dict[str, str]) -> None:
    with provider(never_ends) as model, serving(tmp_path, env) as gateway:
        back: list[Any] = []
        body = {"messages": [{"role": "user", "content": "hi"}], "stream": True}
        with (
            agent(tmp_path, env | model.env) as found,
            _stream(gateway, "POST", "/v1/chat/completions", body) as chunks,
        ):
            next(chunks)
            assert next(chunks)["choices"][0]["delta"]["content"]
            model.play(says("an answer after all"))
            _killed_and_back(tmp_path, env | model.env, found, back)
            last = list(chunks)[-1]
        assert (last["error"]["code"], "restarted" in last["error"]["message"]) == ("unavailable", True)
        _end(back)


def test_a_browser_reconnects_with_the_id_of_the_last_event(tmp_path: Path, env: dict[str, str]) -> None:
    with (
        provider(says("one two three")) as model,
        serving(tmp_path, env) as gateway,
        agent(tmp_path, env | model.env) as found,
    ):
        whole = found.turn("hi")
        path = f"/v1/turns/{whole[0]['turn_id']}"
        with _stream(gateway, "GET", f"{path}/events", **{"Last-Event-ID": str(whole[1]["seq"])}) as events:
            rest = list(events)
        assert "".join(event["text"] for event in rest if event["type"] == "text.delta") == " two three"
        assert rest[-1] == whole[-1]
        with _stream(gateway, "GET", f"{path}/events?after={whole[-2]['seq']}") as events:
            assert list(events) == [whole[-1]]
        assert gateway.ask("GET", f"{path}/events", headers=BEARER | {"Last-Event-ID": "x"}).status == 400
        assert gateway.ask("GET", path).json["state"] == "completed"
        assert gateway.ask("GET", "/v1/turns/none").status == 404
        assert gateway.ask("GET", "/v1/turns/none/events").status == 404


def test_a_socket_steers_a_turn_that_runs(tmp_path: Path, env: dict[str, str]) -> None:
    gate = threading.Event()
    with (
        provider(waits(gate, says("first")), echoes) as model,
        serving(tmp_path, env) as gateway,
        agent(tmp_path, env | model.env),
        gateway.socket() as chat,
    ):
        _send(chat, message="one", session_id="s", message_id="1")
        _wait_for(lambda: len(model.asked) == 1)
        _send(chat, message="two", session_id="s", message_id="2", mode="steer")
        seen = [json.loads(chat.recv(10)), json.loads(chat.recv(10))]
        gate.set()
        while not any(event["type"] == "turn.completed" for event in seen):
            seen.append(json.loads(chat.recv(10)))
        assert [event["text"] for event in seen if event["type"] == "message.added"] == ["two"]
        assert [event["into"] for event in seen if event["type"] == "turn.joined"] == [seen[0]["turn_id"]]
        assert seen[-1]["text"] == "you said: two"
        _send(chat, message="three", session_id="s", mode="hurry")
        assert json.loads(chat.recv(10))["code"] == "invalid_request"


def _send(chat: Any, **asked: str) -> None:
    chat.send(json.dumps({"type": "turn"} | asked))


def _end(back: list[Any]) -> None:
    is_over, thread = back
    is_over.set()
    thread.join()


def _wait_for(condition: Any, timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
