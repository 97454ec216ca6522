"""Anthropic's and Ollama's APIs before an agent's double: what streams, how it fails, what clients end by leaving."""

import asyncio
import contextlib
import http.client
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ocg.gateway.page import FOLDER
from tests import claude
from tests.provider import KEY, Script, ScriptedProvider, fails, provider, says
from tests.service.agent import agent as real_agent
from tests.service.gateway import BEARER, TOKEN, Gateway, Reply, agent, environment, serving

ANTHROPIC, OLLAMA, GENERATE = "/v1/messages", "/api/chat", "/api/generate"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway and an agent's double for all of these tests."""
    folder = tmp_path_factory.mktemp("dialects")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = environment(folder, port)
    with agent(folder, env), serving(folder, env) as found:
        yield found


def _body(path: str, text: str, **more: Any) -> dict[str, Any]:
    said = {"prompt": text} if path == GENERATE else {"messages": [{"role": "user", "content": text}]}
    return {"model": "ocg", "max_tokens": 64, "stream": False} | said | more


def _ask(gateway: Gateway, path: str, text: str = "hello", **more: Any) -> Reply:
    return gateway.ask("POST", path, _body(path, text, **more))


def _events(reply: Reply) -> list[Any]:
    """Return what a stream said, an object an event."""
    if reply.headers["content-type"] == "application/x-ndjson":
        return [json.loads(line) for line in reply.body.splitlines()]
    return [json.loads(line.removeprefix(b"data: ")) for line in reply.body.split(b"\n") if line.startswith(b"data: ")]


def test_whole_answers(gateway: Gateway) -> None:
    found = _ask(gateway, ANTHROPIC).json
    assert found["content"] == [{"type": "text", "text": "Hello, world"}]
    assert (found["usage"]["input_tokens"], found["usage"]["output_tokens"]) == (3, 2)
    assert _ask(gateway, OLLAMA).json["message"] == {"role": "assistant", "content": "Hello, world"}
    assert _ask(gateway, GENERATE).json["response"] == "Hello, world"


def test_streams_are_ollamas_habit_and_anthropics_wish(gateway: Gateway) -> None:
    reply = _ask(gateway, ANTHROPIC, stream=True)
    assert reply.headers["content-type"].startswith("text/event-stream")
    events = _events(reply)
    # The agent is at work with a tool of its own between the two texts.
    assert [one["type"] for one in events] == [
        "message_start",
        "ping",
        "content_block_start",
        "content_block_delta",
        "ping",
        "ping",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    lines = _events(_ask(gateway, OLLAMA, stream=None))
    assert "".join(one["message"]["content"] for one in lines) == "Hello, world"
    assert [one["done"] for one in lines][-2:] == [False, True]
    assert "".join(one["response"] for one in _events(_ask(gateway, GENERATE, stream=None))) == "Hello, world"


@pytest.mark.parametrize("stream", [False, True])
def test_what_fails_at_once_has_a_status(gateway: Gateway, *, stream: bool) -> None:
    reply = _ask(gateway, ANTHROPIC, "fails at once", stream=stream)
    assert (reply.status, reply.error["type"]) == (400, "invalid_request_error")
    reply = _ask(gateway, OLLAMA, "fails at once", stream=stream)
    assert (reply.status, reply.json) == (400, {"error": "too long — send less"})


def test_what_fails_later_ends_the_stream_and_says_so(gateway: Gateway) -> None:
    reply = _ask(gateway, ANTHROPIC, "fails late", stream=True)
    assert reply.body.split(b"\n\n")[-2].startswith(b"event: error\n")
    error = {"type": "api_error", "message": "the model broke — mend it"}
    assert (reply.status, _events(reply)[-1]) == (200, {"type": "error", "error": error})
    reply = _ask(gateway, OLLAMA, "fails late", stream=True)
    assert (reply.status, _events(reply)[-1]) == (200, {"error": "the model broke — mend it"})


async def test_a_session_is_named_by_header_or_metadata(gateway: Gateway) -> None:
    await asyncio.to_thread(_ask, gateway, ANTHROPIC, metadata={"user_id": "ann"})
    headers = BEARER | {"X-OCG-Session": "work"}
    for path in (ANTHROPIC, OLLAMA):
        await asyncio.to_thread(gateway.ask, "POST", path, _body(path, "hello"), headers=headers)
    await asyncio.to_thread(_ask, gateway, OLLAMA)
    turns = (await gateway.seen()).turns[-4:]
    assert [(turn.kind, turn.session_id) for turn in turns] == [
        ("chat", "ann"),
        ("chat", "work"),
        ("chat", "work"),
        ("api", None),
    ]


@pytest.mark.parametrize("path", [ANTHROPIC, OLLAMA])
@pytest.mark.parametrize(("text", "stream"), [("is long", True), ("is silent", True), ("is silent", False)])
async def test_what_runs_ends_with_its_client(gateway: Gateway, path: str, text: str, *, stream: bool) -> None:
    before = len((await gateway.seen()).cancelled)
    await asyncio.to_thread(_leave, gateway, path, _body(path, text, stream=stream), reads="long" in text)
    assert len((await gateway.seen(cancelled=before + 1)).cancelled) == before + 1
    assert "Traceback" not in gateway.log


def _leave(gateway: Gateway, path: str, body: dict[str, Any], *, reads: bool) -> None:
    """Ask, read some of the answer if it comes soon, and go."""
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=10)
    connection.request("POST", path, json.dumps(body).encode(), BEARER)
    if reads:
        response = connection.getresponse()
        response.read(300)
        response.close()
    connection.close()


def test_bodies_that_are_too_large_are_refused_in_the_dialect(gateway: Gateway) -> None:
    large = b"x" * ((16 << 20) + 1)
    reply = gateway.ask("POST", ANTHROPIC, large)
    assert (reply.status, reply.error["type"]) == (413, "request_too_large")
    reply = gateway.ask("POST", OLLAMA, large)
    assert (reply.status, "KiB" in reply.error) == (413, True)


def test_who_has_no_token_is_told_so_in_the_dialect(gateway: Gateway) -> None:
    for headers in ({}, {"x-api-key": "wrong"}):
        reply = gateway.ask("POST", ANTHROPIC, _body(ANTHROPIC, "hello"), headers=headers)
        assert (reply.status, reply.error["type"]) == (401, "authentication_error")
        reply = gateway.ask("POST", OLLAMA, _body(OLLAMA, "hello"), headers=headers)
        assert (reply.status, "token" in reply.error) == (401, True)
    assert gateway.ask("POST", ANTHROPIC, _body(ANTHROPIC, "hello"), headers={"x-api-key": TOKEN}).status == 200


def test_without_the_embedding_service_it_is_overloaded_or_unavailable(gateway: Gateway) -> None:
    reply = _ask(gateway, ANTHROPIC, model="gpt-9")
    assert (reply.status, reply.error["type"], reply.headers["retry-after"]) == (529, "overloaded_error", "1")
    for method, path, body in (
        ("GET", "/api/tags", None),
        ("GET", "/api/ps", None),
        ("POST", "/api/embed", {"model": "minilm", "input": "x"}),
    ):
        reply = gateway.ask(method, path, body)
        assert (reply.status, isinstance(reply.error, str)) == (503, True)


def test_ollamas_clients_find_a_server_and_its_version(gateway: Gateway) -> None:
    assert gateway.ask("GET", "/api/version").json["version"] >= "0.12"
    is_built = (FOLDER / "index.html").exists()
    assert gateway.ask("HEAD", "/", headers={}).status == (200 if is_built else 503)


@contextlib.contextmanager
def _anthropic(folder: Path, port: int, *scripts: Script) -> Iterator[tuple[ScriptedProvider, Gateway]]:
    """A gateway, a real agent, and what plays Anthropic."""
    with provider(*scripts) as model:
        urls = {"OCG_PROVIDER_URLS": f"anthropic={model.base_url.removesuffix('/v1')}", "ANTHROPIC_API_KEY": KEY}
        env = environment(folder, port, **urls)
        with real_agent(folder, env), serving(folder, env) as found:
            yield model, found


def test_what_anthropic_answers_itself_passes_through(tmp_path: Path, free_port: int) -> None:
    headers = BEARER | {"anthropic-beta": "a-beta", "anthropic-version": "2024-01-01"}
    with _anthropic(tmp_path, free_port, claude.says("Hello, world")) as (model, gateway):
        body = _body(
            ANTHROPIC, "hi", stream=True, cache_control={"type": "ephemeral"}, tools=[{"type": "web_search_1"}]
        )
        for name in ("anthropic/claude-x", "claude-x"):
            events = _events(gateway.ask("POST", ANTHROPIC, body | {"model": name}, headers=headers))
            assert "".join(one["delta"].get("text", "") for one in events if "index" in one and "delta" in one) == (
                "Hello, world"
            )
            assert model.asked[-1] == body | {"model": "claude-x"}
        sent = {name.lower(): value for name, value in model.headers[-1].items()}
        assert (sent["anthropic-beta"], sent["anthropic-version"], sent["x-api-key"]) == ("a-beta", "2024-01-01", KEY)
        counted = gateway.ask("POST", "/v1/messages/count_tokens", {"model": "claude-x", "messages": body["messages"]})
        assert counted.json["input_tokens"] > 0


@pytest.mark.parametrize(
    ("script", "status", "kind"),
    [
        (claude.fails(429, "rate_limit_error", "slow down", Retry_After="7"), 429, "rate_limit_error"),
        (claude.fails(401, "authentication_error", "bad key"), 502, "api_error"),
        (claude.fails(400, "invalid_request_error", "odd"), 400, "invalid_request_error"),
    ],
)
def test_what_anthropic_refuses_is_told_in_its_own_shape(
    tmp_path: Path, free_port: int, script: Script, status: int, kind: str
) -> None:
    with _anthropic(tmp_path, free_port, script) as (_, gateway):
        reply = _ask(gateway, ANTHROPIC, model="claude-x")
        assert (reply.status, reply.json["type"], reply.error["type"]) == (status, "error", kind)
        assert reply.headers["retry-after"] == ("7" if status == 429 else None)
        assert KEY not in reply.body.decode()


def test_who_leaves_anthropic_ends_its_work(tmp_path: Path, free_port: int) -> None:
    with _anthropic(tmp_path, free_port, claude.never_ends) as (model, gateway):
        _leave(gateway, ANTHROPIC, _body(ANTHROPIC, "hi", model="claude-x", stream=True), reads=True)
        assert model.hung_up.wait(10)


def test_other_providers_are_translated(tmp_path: Path, free_port: int) -> None:
    with provider(says("Hello, world")) as model:
        env = environment(tmp_path, free_port, **model.env)
        with real_agent(tmp_path, env), serving(tmp_path, env) as gateway:
            reply = _ask(gateway, ANTHROPIC, model="custom/scripted", system="Be brief.")
            assert reply.json["content"] == [{"type": "text", "text": "Hello, world"}]
            assert (model.asked[0]["model"], model.asked[0]["messages"][0]["role"]) == ("scripted", "system")
            model.play(fails(429, {"error": {"message": "slow down"}}, Retry_After="7"))
            reply = _ask(gateway, ANTHROPIC, model="custom/scripted")
            assert (reply.status, reply.error["type"]) == (529, "overloaded_error")
