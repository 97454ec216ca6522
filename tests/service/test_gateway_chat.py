"""OpenAI's API in front of an agent's double: what streams, how it fails, and what becomes of a client that leaves."""

import asyncio
import http.client
import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from ocg.protocol.messages import ContextMessage
from tests.service.gateway import BEARER, Gateway, agent, environment, serving

HI = [{"role": "user", "content": "hello"}]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway and an agent's double for all of these tests."""
    folder = tmp_path_factory.mktemp("chat")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = environment(folder, port)
    with agent(folder, env), serving(folder, env) as found:
        yield found


def _chat(gateway: Gateway, text: str = "hello", **more: Any) -> Any:
    return gateway.ask("POST", "/v1/chat/completions", {"messages": [{"role": "user", "content": text}]} | more)


def _chunks(body: bytes) -> list[Any]:
    """Return the data of a stream's events, of which the last is [DONE] where all went well."""
    found = [line.removeprefix(b"data: ") for line in body.split(b"\n") if line.startswith(b"data: ")]
    return [one.decode() if one == b"[DONE]" else json.loads(one) for one in found]


def test_a_whole_answer_has_openais_shape(gateway: Gateway) -> None:
    found = _chat(gateway, model="ocg").json
    assert found["object"] == "chat.completion"
    assert found["model"] == "ocg"
    assert found["choices"][0]["message"] == {"role": "assistant", "content": "Hello, world"}
    assert found["choices"][0]["finish_reason"] == "stop"
    assert found["usage"] == {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def test_a_stream_says_the_role_first_and_done_last(gateway: Gateway) -> None:
    reply = _chat(gateway, stream=True)
    assert reply.headers["content-type"].startswith("text/event-stream")
    *chunks, done = _chunks(reply.body)
    assert done == "[DONE]"
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk["id"] for chunk in chunks}) == 1
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert deltas[0] == {"role": "assistant", "content": ""}
    assert "".join(delta.get("content", "") for delta in deltas) == "Hello, world"
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks][-2:] == [None, "stop"]
    assert all(chunk["usage"] is None for chunk in chunks)


def test_a_stream_ends_with_its_usage_where_it_is_wanted(gateway: Gateway) -> None:
    *_, last, done = _chunks(_chat(gateway, stream=True, stream_options={"include_usage": True}).body)
    assert (last["choices"], last["usage"]["total_tokens"], done) == ([], 5, "[DONE]")


def test_several_answers_are_several_turns(gateway: Gateway) -> None:
    found = _chat(gateway, n=2).json
    assert [(one["index"], one["message"]["content"]) for one in found["choices"]] == [
        (0, "Hello, world"),
        (1, "Hello, world"),
    ]
    assert found["usage"]["total_tokens"] == 10
    *chunks, done = _chunks(_chat(gateway, n=2, stream=True).body)
    said = {0: "", 1: ""}
    for choice in (choice for chunk in chunks for choice in chunk["choices"]):
        said[choice["index"]] += choice["delta"].get("content", "")
    assert (said, done) == ({0: "Hello, world", 1: "Hello, world"}, "[DONE]")


def test_a_turn_that_fails_at_once_has_a_status_streamed_or_not(gateway: Gateway) -> None:
    for stream in (False, True):
        reply = _chat(gateway, "fails at once", stream=stream)
        assert (reply.status, reply.error["code"]) == (400, "context_length_exceeded")


def test_a_turn_that_fails_later_says_so_in_the_stream_and_ends(gateway: Gateway) -> None:
    assert _chat(gateway, "fails late").status == 502
    reply = _chat(gateway, "fails late", stream=True)
    *_, said, error = _chunks(reply.body)
    assert reply.status == 200
    assert said["choices"][0]["delta"] == {"content": "Hello, "}
    assert error["error"]["code"] == "provider_error"


async def test_a_turn_without_a_session_has_the_clients_context(gateway: Gateway) -> None:
    said = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "a"}, *HI]
    await asyncio.to_thread(_chat, gateway, messages=said)
    turn = (await gateway.seen()).turns[-1]
    assert (turn.kind, turn.message, turn.session_id) == ("api", "hello", None)
    assert turn.context == (ContextMessage(role="system", content="be brief"), ContextMessage(role="user", content="a"))


async def test_a_session_is_named_by_header_or_user(gateway: Gateway) -> None:
    body = {"messages": HI, "user": "ann"}
    await asyncio.to_thread(gateway.ask, "POST", "/v1/chat/completions", body)
    headers = BEARER | {"X-OCG-Session": "work"}
    await asyncio.to_thread(gateway.ask, "POST", "/v1/chat/completions", body, headers=headers)
    turns = (await gateway.seen()).turns[-2:]
    assert [(turn.kind, turn.session_id) for turn in turns] == [("chat", "ann"), ("chat", "work")]


@pytest.mark.parametrize(
    ("body", "status", "code", "param"),
    [
        (b"{", 400, "invalid_request", None),
        (b"[]", 400, "invalid_request", None),
        ({}, 400, "invalid_request", "messages"),
        ({"messages": "hi"}, 400, "invalid_request", "messages"),
        ({"messages": [{"role": "user", "content": 7}]}, 400, "invalid_request", "messages[0].content"),
        ({"messages": HI, "model": 1}, 400, "invalid_request", "model"),
        ({"messages": HI, "n": 2, "user": "ann"}, 400, "invalid_request", "n"),
        ({"messages": HI, "temperature": "hot"}, 400, "invalid_request", "temperature"),
        (b"x" * ((16 << 20) + 1), 413, "too_large", None),
    ],
)
def test_bad_requests_are_named(gateway: Gateway, body: object, status: int, code: str, param: str | None) -> None:
    reply = gateway.ask("POST", "/v1/chat/completions", body)
    assert (reply.status, reply.error["code"], reply.error["param"]) == (status, code, param), reply.body


def test_without_the_embedding_service_its_models_are_unavailable(gateway: Gateway) -> None:
    for method, path, body in (
        ("GET", "/v1/models", None),
        ("POST", "/v1/embeddings", {"input": "x"}),
        ("POST", "/v1/chat/completions", {"model": "gpt-9", "messages": HI}),
    ):
        reply = gateway.ask(method, path, body)
        assert (reply.status, reply.error["code"]) == (503, "unavailable")
        assert reply.headers["retry-after"] == "1"


def _leave(gateway: Gateway, body: dict[str, Any], *, after_bytes: int) -> None:
    """Ask, read that much of the answer, and go."""
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=10)
    connection.request("POST", "/v1/chat/completions", json.dumps(body).encode(), BEARER)
    if after_bytes:
        response = connection.getresponse()
        response.read(after_bytes)
        response.close()
    connection.close()


@pytest.mark.parametrize(("stream", "after_bytes"), [(True, 300), (True, 0), (False, 0)])
@pytest.mark.parametrize("text", ["is long", "is silent"])
async def test_a_turn_of_no_session_ends_with_its_client(
    gateway: Gateway, text: str, after_bytes: int, *, stream: bool
) -> None:
    before = len((await gateway.seen()).cancelled)
    body = {"messages": [{"role": "user", "content": text}], "stream": stream}
    await asyncio.to_thread(_leave, gateway, body, after_bytes=after_bytes if "long" in text else 0)
    assert len((await gateway.seen(cancelled=before + 1)).cancelled) == before + 1
    assert "Traceback" not in gateway.log


async def test_all_of_several_answers_end_with_their_client(gateway: Gateway) -> None:
    before = len((await gateway.seen()).cancelled)
    body = {"messages": [{"role": "user", "content": "is long"}], "stream": True, "n": 3}
    await asyncio.to_thread(_leave, gateway, body, after_bytes=300)
    assert len((await gateway.seen(cancelled=before + 3)).cancelled) == before + 3


async def test_a_turn_of_a_session_goes_on_without_its_client(gateway: Gateway) -> None:
    before = await gateway.seen()
    for stream in (True, False):
        body = {"messages": [{"role": "user", "content": "is long"}], "stream": stream, "user": f"ann-{stream}"}
        await asyncio.to_thread(_leave, gateway, body, after_bytes=300 if stream else 0)
    body = {"messages": [{"role": "user", "content": "is long"}], "stream": True}
    await asyncio.to_thread(_leave, gateway, body, after_bytes=300)
    # The one that belongs to no session, asked for last.
    seen = await gateway.seen(turns=len(before.turns) + 3, cancelled=len(before.cancelled) + 1)
    assert not {"ann-True", "ann-False"} & set(seen.cancelled)
