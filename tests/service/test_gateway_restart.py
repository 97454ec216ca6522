"""The agent away: for a moment nobody notices, for longer it is said; and the gateway's own end."""

import asyncio
import http.client
import json
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.service.gateway import Gateway, agent, environment, serving

HI = {"messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture
def env(tmp_path: Path, free_port: int) -> dict[str, str]:
    """Everything in the test's own folder."""
    return environment(tmp_path, free_port)


@pytest.fixture
def gateway(tmp_path: Path, env: dict[str, str]) -> Iterator[Gateway]:
    """A gateway with nobody behind it."""
    with serving(tmp_path, env) as found:
        yield found


def test_without_an_agent_every_way_in_says_so_after_its_patience(gateway: Gateway) -> None:
    def ask(path: str) -> tuple[int, str, str | None, float]:
        began = time.monotonic()
        if path == "/v1/sessions":
            reply = gateway.ask("GET", path)
        else:
            reply = gateway.ask("POST", path, HI | {"message": "hi", "stream": True})
        return reply.status, reply.error["code"], reply.headers["retry-after"], time.monotonic() - began

    with ThreadPoolExecutor(3) as pool:
        for status, code, retry, seconds in pool.map(ask, ("/v1/sessions", "/v1/turns", "/v1/chat/completions")):
            assert (status, code, retry) == (503, "unavailable", "1")
            assert 4.5 < seconds < 7


def test_a_socket_hears_it_as_a_message(gateway: Gateway) -> None:
    with gateway.socket() as chat:
        chat.send(json.dumps({"type": "turn", "message": "hi", "message_id": "m"}))
        found = json.loads(chat.recv(timeout=10))
        assert (found["type"], found["code"], found["message_id"]) == ("error", "unavailable", "m")


def test_health_is_quick_whatever_is_away(gateway: Gateway) -> None:
    began = time.monotonic()
    reply = gateway.ask("GET", "/health", headers={})
    assert (reply.status, reply.json["status"]) == (503, "degraded")
    assert time.monotonic() - began < 0.5


def test_health_does_not_wait_for_one_that_hangs(tmp_path: Path, env: dict[str, str], gateway: Gateway) -> None:
    with agent(tmp_path, env) as process:
        assert gateway.ask("GET", "/health", headers={}).json["services"]["ocg-agent"] == "ok"
        process.popen.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        reply = gateway.ask("GET", "/health", headers={})
        assert (reply.status, reply.json["services"]["ocg-agent"]) == (503, "down")
        assert time.monotonic() - began < 2.0
        process.popen.send_signal(signal.SIGCONT)


def test_a_request_waits_for_an_agent_that_is_about_to_come(
    tmp_path: Path, env: dict[str, str], gateway: Gateway
) -> None:
    with ThreadPoolExecutor(1) as pool:
        early = pool.submit(gateway.ask, "POST", "/v1/chat/completions", HI)
        time.sleep(0.5)
        with agent(tmp_path, env):
            assert early.result(10).status == 200


def test_an_agent_that_restarts_under_load_costs_nobody_an_answer(
    tmp_path: Path, env: dict[str, str], gateway: Gateway
) -> None:
    is_over = threading.Event()
    found: list[tuple[int, bytes]] = []

    def load(number: int) -> None:
        while not is_over.is_set():
            body = HI | {"stream": bool(number % 2)}
            reply = gateway.ask("POST", "/v1/chat/completions", body) if number else gateway.ask("GET", "/v1/sessions")
            found.append((reply.status, reply.body))

    with ThreadPoolExecutor(6) as pool:
        working = [pool.submit(load, number) for number in range(6)]
        for _ in range(3):
            with agent(tmp_path, env) as process:
                time.sleep(0.6)
                assert process.stop() == 0
        with agent(tmp_path, env):
            time.sleep(0.3)
            is_over.set()
            for one in working:
                one.result(20)
    assert {status for status, _ in found} == {200}
    assert not any(b'"error"' in body for _, body in found)
    assert len(found) > 100


def _first_delta_and_rest(gateway: Gateway) -> str:
    body = {"messages": [{"role": "user", "content": "is long"}], "stream": True}
    try:
        return str(gateway.ask("POST", "/v1/chat/completions", body))
    except http.client.IncompleteRead:
        return "cut off"


def _ask_in_vain(gateway: Gateway) -> tuple[int, str]:
    reply = gateway.ask("POST", "/v1/chat/completions", {"messages": [{"role": "user", "content": "is silent"}]})
    return reply.status, reply.error["code"]


async def test_a_stop_cuts_off_what_does_not_end_and_cancels_its_turns(
    tmp_path: Path, env: dict[str, str], gateway: Gateway
) -> None:
    with agent(tmp_path, env):
        streaming = asyncio.create_task(asyncio.to_thread(_first_delta_and_rest, gateway))
        waiting = asyncio.create_task(asyncio.to_thread(_ask_in_vain, gateway))
        await gateway.seen(turns=2)
        await asyncio.sleep(0.2)  # the first delta is on its way
        began = time.monotonic()
        status = await asyncio.to_thread(gateway.process.stop, signal.SIGTERM, signal.SIGINT)
        assert status == 0
        assert time.monotonic() - began < 2
        assert await streaming == "cut off"
        assert await waiting == (503, "unavailable")
        assert len((await gateway.seen(cancelled=2)).cancelled) == 2
        assert "Traceback" not in gateway.log


def test_stopping_an_idle_gateway_takes_no_time(gateway: Gateway) -> None:
    with gateway.socket() as chat:
        began = time.monotonic()
        assert gateway.process.stop() == 0
        assert time.monotonic() - began < 0.5
        del chat
