"""Models of providers by name, `<provider>/<model>`: two services as processes, and a server that plays one."""

import contextlib
import http.client
import json
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import MODELS
from tests.processes import running
from tests.provider import (
    KEY,
    Exchange,
    Script,
    ScriptedProvider,
    fails,
    gives,
    never_ends,
    plays,
    provider,
    says,
    waits,
)
from tests.service.agent import Agent, agent
from tests.service.gateway import BEARER, Gateway, environment, serving, unused_port

CHAT = "/v1/chat/completions"
HELLO: dict[str, Any] = {"model": "custom/scripted", "messages": [{"role": "user", "content": "hello"}]}
ANSWER = {"id": "1", "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "odd": [1e3]}]}


@dataclass(frozen=True)
class Stack:
    """The two services, and the provider behind them."""

    model: ScriptedProvider
    agent: Agent
    gateway: Gateway

    def plays(self, *scripts: Script) -> ScriptedProvider:
        self.model.play(*scripts)
        return self.model

    @contextlib.contextmanager
    def opened(self, body: Any) -> Iterator[http.client.HTTPResponse]:
        """Ask and give the answer with its body unread; leaving the block hangs up."""
        connection = http.client.HTTPConnection("127.0.0.1", self.gateway.port, timeout=20)
        with contextlib.closing(connection):
            connection.request("POST", CHAT, json.dumps(body).encode(), BEARER)
            with connection.getresponse() as response:
                yield response


@contextlib.contextmanager
def _stack(folder: Path, port: int, *scripts: Script) -> Iterator[Stack]:
    with provider(*scripts) as model:
        # The same server plays Anthropic too.
        claude = {"OCG_PROVIDER_URLS": f"anthropic={model.base_url.removesuffix('/v1')}", "ANTHROPIC_API_KEY": KEY}
        env = environment(folder, port, **model.env, **claude)
        with agent(folder, env) as found, serving(folder, env) as gateway:
            yield Stack(model, found, gateway)


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with _stack(tmp_path_factory.mktemp("passthrough"), unused_port(), says("hi")) as found:
        yield found
        logs = found.gateway.log + found.agent.process.log
        assert KEY not in logs, "the key is in no log"
        assert "Traceback" not in logs


@pytest.fixture
def stack(services: Stack) -> Iterator[Stack]:
    yield services
    services.model.forget()


def test_a_whole_answer_comes_as_it_is_and_only_the_model_is_renamed(stack: Stack) -> None:
    model = stack.plays(gives(ANSWER, Content_Type="application/json; charset=utf-8"))
    sent = (
        b'{"messages": [ {"role":"user","content":"h\\u00e9"} ], "model": "custom/a/b", "temperature": 1.50e0, "x":[ ]}'
    )
    reply = stack.gateway.ask("POST", CHAT, sent)
    assert (reply.status, reply.body) == (200, json.dumps(ANSWER).encode())
    assert reply.headers["Content-Type"] == "application/json; charset=utf-8"
    assert (model.paths, model.keys) == (["/v1/chat/completions"], [f"Bearer {KEY}"])
    assert b'[ {"role":"user","content":"h\\u00e9"} ]' in model.bodies[0], "bytes are passed on as they came"
    assert b"1.50e0" in model.bodies[0]
    assert model.asked[0] == json.loads(sent) | {"model": "a/b"}
    assert "Accept" not in model.headers[0] or model.headers[0]["Accept"] == "*/*"
    assert BEARER["Authorization"] not in model.headers[0].values(), "our token is nobody's business there"


def test_a_stream_comes_as_it_is_while_it_is_written(stack: Stack) -> None:
    gate = threading.Event()
    stack.plays(waits(gate, says("never"), first="one"))
    with stack.opened(HELLO | {"stream": True}) as response:
        assert response.headers["Content-Type"] == "text/event-stream"
        assert b'"one"' in response.readline(), "before the rest is written"
        gate.set()
        assert response.read().endswith(b"data: [DONE]\n\n")
    data = b": a comment\n\nevent: odd\ndata: {}\n\ndata: [DONE]\n\n"
    stack.plays(plays(data, 5, 20))
    assert stack.gateway.ask("POST", CHAT, HELLO | {"stream": True}).body == data


@pytest.mark.parametrize(
    ("theirs", "body", "ours", "code", "said"),
    [
        (400, {"error": {"message": "no such field"}}, 400, "invalid_request", "no such field"),
        (400, {"error": {"message": "prompt is too long"}}, 400, "context_length_exceeded", "too long"),
        (401, {"error": {"message": f"bad key {KEY}"}}, 502, "provider_error", "bad key [key]"),
        (403, b"not yours", 502, "provider_error", "not yours"),
        (404, {"detail": "no model"}, 404, "model_unknown", "no model"),
        (413, b"", 413, "too_large", "413"),
        (429, {"error": "slow down"}, 429, "busy", "slow down"),
        (307, b"", 502, "provider_error", "307"),
        (500, b"<h1>oops</h1>", 500, "provider_error", "oops"),
        (529, {"error": {"type": "overloaded_error"}}, 529, "provider_error", "overloaded"),
    ],
)
def test_what_a_provider_refuses_is_told_in_one_shape(
    stack: Stack, theirs: int, body: Any, ours: int, code: str, said: str
) -> None:
    model = stack.plays(fails(theirs, body, Retry_After="7", Location="http://127.0.0.1:1/"))
    reply = stack.gateway.ask("POST", CHAT, HELLO)
    assert (reply.status, reply.error["code"]) == (ours, code), reply.body
    assert said in reply.error["message"]
    assert reply.headers["Retry-After"] == "7"
    assert len(model.asked) == 1, "clients try again by themselves"
    assert KEY.encode() not in reply.body


def test_who_hangs_up_is_not_answered_on(stack: Stack) -> None:
    model = stack.plays(never_ends)
    with stack.opened(HELLO | {"stream": True}) as response:
        assert response.read(10)
    assert model.hung_up.wait(10), "in the middle of a stream"


def test_who_hangs_up_before_the_answer_begins_is_not_waited_for(stack: Stack) -> None:
    gate, is_asked = threading.Event(), threading.Event()

    def script(exchange: Exchange) -> None:
        is_asked.set()
        waits(gate, never_ends)(exchange)

    model = stack.plays(script)
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", stack.gateway.port)) as connection:
        connection.request("POST", CHAT, json.dumps(HELLO).encode(), BEARER)
        assert is_asked.wait(10)
    gate.set()
    assert model.hung_up.wait(10)


def test_what_breaks_off_is_not_taken_for_whole(stack: Stack) -> None:
    stack.plays(_cut("application/json", b'{"half": '))
    with stack.opened(HELLO) as response, pytest.raises(http.client.IncompleteRead):
        response.read()
    stack.plays(_cut("text/event-stream", b"data: {}\n\n"))
    half, last = stack.gateway.ask("POST", CHAT, HELLO | {"stream": True}).body.strip().split(b"\n\n")
    assert half == b"data: {}"
    assert json.loads(last.removeprefix(b"data: "))["error"]["code"] == "provider_error"


def _cut(kind: str, data: bytes) -> Script:
    """Announce more than comes."""

    def script(exchange: Exchange) -> None:
        exchange.raw(f"HTTP/1.0 200 OK\r\nContent-Type: {kind}\r\nContent-Length: 9999\r\n\r\n".encode() + data)

    return script


def test_a_head_in_no_encoding_passes(stack: Stack) -> None:
    stack.plays(lambda exchange: exchange.raw(b"HTTP/1.0 200 OK\r\nContent-Type: text/\xff\xe9\r\n\r\nfine"))
    reply = stack.gateway.ask("POST", CHAT, HELLO)
    assert (reply.status, reply.body) == (200, b"fine")
    assert reply.headers["Content-Type"] == "text/\xff\xe9"


def test_a_key_that_a_provider_echoes_is_masked(stack: Stack) -> None:
    echo = b'data: {"error": {"message": "Incorrect API key: ' + KEY.encode() + b'"}}\n\n'
    stack.plays(plays(echo, 55))
    reply = stack.gateway.ask("POST", CHAT, HELLO | {"stream": True})
    assert reply.body == echo.replace(KEY.encode(), b"*" * len(KEY))
    reply = stack.gateway.ask("POST", "/v1/responses", {"model": HELLO["model"], "input": "hello"})
    assert b"Incorrect API key" in reply.body
    assert KEY.encode() not in reply.body
    stack.plays(gives({"key": KEY}))
    assert stack.gateway.ask("POST", CHAT, HELLO).json == {"key": "*" * len(KEY)}
    claude = HELLO | {"model": "anthropic/claude"}
    assert stack.agent.ask("POST", "/v1/providers/anthropic/messages", claude)[1] == {"key": "*" * len(KEY)}


def test_large_bodies_pass_and_take_no_memory(stack: Stack) -> None:
    size = 80 << 20

    def floods(exchange: Exchange) -> None:
        exchange.raw(f"HTTP/1.0 200 OK\r\nContent-Length: {size}\r\n\r\n".encode())
        for _ in range(size >> 20):
            exchange.raw(b" " * (1 << 20))

    model = stack.plays(gives(ANSWER), floods)
    sent = HELLO | {"user": "x" * (15 << 20)}
    assert stack.gateway.ask("POST", CHAT, sent).status == 200
    assert model.asked[0]["user"] == sent["user"]
    assert stack.gateway.ask("POST", CHAT, HELLO | {"user": "x" * (16 << 20)}).status == 413
    processes = (stack.gateway.process, stack.agent.process)
    before = [_memory_mb(one.popen.pid) for one in processes]
    with stack.opened(HELLO) as response:
        assert sum(len(chunk) for chunk in iter(lambda: response.read(1 << 20), b"")) == size
    grown = [_memory_mb(one.popen.pid) - was for one, was in zip(processes, before, strict=True)]
    assert max(grown) < 30, grown


def _memory_mb(pid: int) -> int:
    """The most it ever had."""
    return int(Path(f"/proc/{pid}/status").read_text().split("VmHWM:")[1].split()[0]) >> 10


def test_embeddings_pass_through(stack: Stack) -> None:
    model = stack.plays(gives({"data": []}))
    reply = stack.gateway.ask("POST", "/v1/embeddings", {"model": "custom/embed", "input": "hello"})
    assert (reply.status, reply.json) == (200, {"data": []})
    assert (model.paths, model.asked) == (["/v1/embeddings"], [{"model": "embed", "input": "hello"}])


def _vectors(*found: tuple[int, list[float] | str]) -> Script:
    data = [{"index": index, "embedding": vector} for index, vector in found]
    return gives({"data": data, "model": "embed", "usage": {"prompt_tokens": 2, "total_tokens": 2}})


def test_ollamas_clients_get_a_vector_for_each_text(stack: Stack) -> None:
    two, one = {"model": "custom/embed", "input": ["a", "b"]}, {"model": "custom/embed", "prompt": "a"}
    stack.plays(_vectors((1, [2.0]), (0, [1.0])))
    assert stack.gateway.ask("POST", "/api/embed", two).json["embeddings"] == [[1.0], [2.0]], "in their order"
    for wrong in ((), ((0, [1.0]),), ((0, [1.0]), (0, [2.0])), ((0, [1.0]), (1, "AACAPw=="))):
        stack.plays(_vectors(*wrong))
        reply = stack.gateway.ask("POST", "/api/embed", two)
        assert (reply.status, "each text a vector" in reply.json["error"]) == (502, True), reply.body
    stack.plays(_vectors())
    reply = stack.gateway.ask("POST", "/api/embeddings", one)
    assert (reply.status, "each text a vector" in reply.json["error"]) == (502, True), reply.body
    stack.plays(_vectors((0, [1.0])))
    assert stack.gateway.ask("POST", "/api/embeddings", one).json == {"embedding": [1.0]}


@pytest.mark.parametrize(
    ("model", "status", "said"),
    [
        ("openai/gpt-5.5", 400, "set OPENAI_API_KEY"),
        ("custom/", 400, "PROVIDER/MODEL"),
    ],
)
def test_a_model_that_cannot_be_asked_says_what_to_do(stack: Stack, model: str, status: int, said: str) -> None:
    reply = stack.gateway.ask("POST", CHAT, HELLO | {"model": model})
    assert (reply.status, reply.error["param"]) == (status, "model")
    assert said in reply.error["hint"]


def test_the_agent_knows_no_other_providers(stack: Stack) -> None:
    status, body = stack.agent.ask("POST", "/v1/providers/nobody/chat/completions", HELLO)
    assert (status, body["error"]["code"]) == (404, "not_found")
    assert "openrouter" in body["error"]["message"]
    status, body = stack.agent.ask("POST", "/v1/providers/local/chat/completions", HELLO)
    assert (status, body["error"]["code"]) == (400, "invalid_request")
    status, body = stack.agent.ask("POST", "/v1/providers/custom/messages", HELLO)
    assert (status, body["error"]["code"]) == (400, "invalid_request")


def test_messages_pass_through_to_who_speaks_them(stack: Stack) -> None:
    model = stack.plays(gives({"type": "message"}))
    status, body = stack.agent.ask("POST", "/v1/providers/anthropic/messages", HELLO | {"model": "anthropic/claude"})
    assert (status, body) == (200, {"type": "message"})
    assert (model.paths, model.asked[0]["model"]) == (["/v1/messages"], "claude")
    sent = {name.lower(): value for name, value in model.headers[0].items()}
    assert (sent["x-api-key"], sent["anthropic-version"]) == (KEY, "2023-06-01")


def test_a_restart_of_the_agent_is_waited_for(tmp_path: Path, free_port: int) -> None:
    with provider(gives(ANSWER)) as model:
        env = environment(tmp_path, free_port, **model.env)
        with serving(tmp_path, env) as gateway, ThreadPoolExecutor() as pool:
            with agent(tmp_path, env) as first:
                assert gateway.ask("POST", CHAT, HELLO).status == 200
                first.process.stop(signal.SIGTERM)
            asked = pool.submit(gateway.ask, "POST", CHAT, HELLO)
            with agent(tmp_path, env):
                assert asked.result(20).status == 200
            reply = gateway.ask("POST", CHAT, HELLO)
            assert (reply.status, reply.error["code"]) == (503, "unavailable")
            assert reply.headers["Retry-After"]


def test_a_stream_that_the_agent_leaves_says_so(tmp_path: Path, free_port: int) -> None:
    with _stack(tmp_path, free_port, never_ends) as found, found.opened(HELLO | {"stream": True}) as response:
        assert response.readline()
        found.agent.kill()
        last = response.read().strip().rpartition(b"data: ")[2]
    assert json.loads(last)["error"]["code"] == "unavailable"


def test_models_of_providers_in_use_are_listed(tmp_path: Path, free_port: int) -> None:
    with provider(says("hi")) as model:
        env = environment(tmp_path, free_port, **model.env, OCG_PROVIDER="custom,openai,local")
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "models").symlink_to(MODELS)
        with running(tmp_path, "ocg.embedding", env), serving(tmp_path, env) as gateway:
            with agent(tmp_path, env):
                found = [one["id"] for one in gateway.ask("GET", "/v1/models").json["data"]]
                assert [name for name in found if "/" in name] == ["custom/scripted"], "the others lack a key"
                assert gateway.ask("GET", "/v1/models/custom/scripted").json["owned_by"] == "custom"
            found = [one["id"] for one in gateway.ask("GET", "/v1/models").json["data"]]
            assert "ocg" in found
            assert not [name for name in found if "/" in name], "nobody knows them while the agent is away"
