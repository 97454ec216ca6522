"""Named tokens and rate limits at a real gateway: what each token opens, and that what is revoked ends at once."""

import contextlib
import http.client
import json
import select
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI, RateLimitError
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection

from ocg.protocol.messages import AskedBy
from tests.processes import Process
from tests.service.gateway import Gateway, Reply, agent, environment, serving

STRONG = "a-token-for-tests-that-nobody-can-guess"
OWNER = {"Authorization": f"Bearer {STRONG}"}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway and an agent's double for all of these tests."""
    folder = tmp_path_factory.mktemp("access")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = environment(folder, port, OCG_UI_TOKEN=STRONG)
    with agent(folder, env), serving(folder, env) as found:
        yield found


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _ask(gateway: Gateway, method: str, path: str, body: Any = None) -> Reply:
    return gateway.ask(method, path, body, headers=OWNER)


def _made(gateway: Gateway, name: str, *scopes: str) -> dict[str, str]:
    """Make a token and return the header that carries it."""
    reply = _ask(gateway, "POST", "/v1/tokens", {"name": name, "scopes": scopes})
    assert reply.status == 200, reply.body
    return _bearer(reply.json["token"])


@contextlib.contextmanager
def _limited(gateway: Gateway, key: str, rate: str) -> Iterator[None]:
    assert _ask(gateway, "POST", "/v1/ratelimits", {"key": key, "rate": rate}).json == {"key": key, "rate": rate}
    try:
        yield
    finally:
        assert _ask(gateway, "DELETE", f"/v1/ratelimits/{key}").status == 200


CHAT = {"model": "ocg", "messages": [{"role": "user", "content": "hello"}]}
TURN = {"message": "hello"}


@pytest.mark.parametrize(
    ("method", "path", "body", "scope"),
    [
        ("POST", "/v1/chat/completions", CHAT, "chat"),
        ("POST", "/v1/turns", TURN, "chat"),
        ("POST", "/v1/turns/t-none/cancel", None, "chat"),
        ("GET", "/v1/models", None, "chat"),
        ("POST", "/v1/embeddings", {"model": "x", "input": "y"}, "chat"),
        ("GET", "/v1/sessions", None, "read"),
        ("GET", "/v1/sessions/s-1", None, "read"),
        ("GET", "/v1/memories", None, "read"),
        ("POST", "/v1/memories", {"text": "a fact"}, "admin"),
        ("DELETE", "/v1/memories/m-1", None, "admin"),
        ("DELETE", "/v1/sessions/s-1", None, "admin"),
        ("GET", "/v1/tokens", None, "admin"),
        ("POST", "/v1/tokens", {"name": "more"}, "admin"),
        ("DELETE", "/v1/tokens/none", None, "admin"),
        ("GET", "/v1/ratelimits", None, "admin"),
        ("POST", "/logout", None, "admin"),
    ],
)
def test_a_token_opens_what_its_scope_says_and_the_refusal_names_the_one_it_lacks(
    gateway: Gateway, method: str, path: str, body: Any, scope: str, tokens: dict[str, dict[str, str]]
) -> None:
    for name, headers in tokens.items():
        reply = gateway.ask(method, path, body, headers=headers)
        if name in {scope, "admin"}:
            assert reply.status not in {401, 403}, (name, reply.body)
        else:
            assert (reply.status, reply.error["code"]) == (403, "forbidden"), name
            assert f"no scope '{scope}'" in reply.error["message"]


@pytest.fixture(scope="module")
def tokens(gateway: Gateway) -> dict[str, dict[str, str]]:
    """A token of each scope alone, by its scope."""
    return {scope: _made(gateway, f"only-{scope}", scope) for scope in ("chat", "read", "admin")}


def test_every_endpoint_says_what_it_takes_and_refuses_a_token_without_it(
    gateway: Gateway, tokens: dict[str, dict[str, str]]
) -> None:
    paths = gateway.ask("GET", "/openapi.json", headers={}).json["paths"]
    found = 0
    for path, operations in paths.items():
        for method, operation in operations.items():
            if operation.get("security") == []:
                continue
            (needed,) = (operation["security"][0] or {"": ["none"]}).values()
            other = tokens["read" if needed == ["chat"] else "chat"]
            reply = gateway.ask(method.upper(), path.replace("{", "").replace("}", ""), headers=other)
            assert reply.status == 403, (method, path, reply.body)
            found += 1
    assert found >= 15


def test_anthropics_header_carries_a_token_too_and_the_page_is_for_the_owners_alone(
    gateway: Gateway, tokens: dict[str, dict[str, str]]
) -> None:
    token = tokens["chat"]["Authorization"].removeprefix("Bearer ")
    assert gateway.ask("POST", "/v1/chat/completions", CHAT, headers={"x-api-key": token}).status == 200
    assert gateway.ask("POST", "/login", {"token": token}, headers={}).status == 401
    with gateway.socket(tokens["chat"]) as chat:
        assert _answered(chat, message="hello")["type"] == "turn.completed"
    with pytest.raises(InvalidStatus) as caught, gateway.socket(tokens["read"]):
        pass
    assert caught.value.response.status_code == 403


def _answered(chat: ClientConnection, **turn: Any) -> Any:
    chat.send(json.dumps({"type": "turn"} | turn))
    while (found := json.loads(chat.recv(timeout=10)))["type"] not in {"turn.completed", "turn.failed", "error"}:
        pass
    return found


async def test_a_token_that_may_not_read_has_conversations_of_its_own(
    gateway: Gateway, tokens: dict[str, dict[str, str]]
) -> None:
    guest = tokens["chat"]
    gateway.ask("POST", "/v1/turns", TURN | {"session_id": "work"}, headers=guest)
    gateway.ask("POST", "/v1/turns", TURN, headers=guest)
    gateway.ask("POST", "/v1/chat/completions", CHAT | {"user": "me"}, headers=guest)
    gateway.ask("POST", "/v1/chat/completions", CHAT, headers=guest | {"X-OCG-Session": "work"})
    with gateway.socket(guest) as chat:
        assert _answered(chat, message="hello", session_id="work")["session_id"] == "only-chat.work"
        assert _answered(chat, message="/model other", session_id="work")["code"] == "forbidden"
    gateway.ask("POST", "/v1/turns", TURN | {"session_id": "work"}, headers=OWNER)
    *own, owners = [one.session_id for one in (await gateway.seen()).turns][-6:]
    assert own[0] == own[3] == own[4] == "only-chat.work"
    assert own[1] is not None
    assert own[1].startswith("only-chat.")
    assert own[2] == "only-chat.me"
    assert owners == "work"


async def test_the_agent_is_told_who_asks_whatever_the_client_says(
    gateway: Gateway, tokens: dict[str, dict[str, str]]
) -> None:
    lie = {"asker": {"name": "owner", "is_owner": True}}
    gateway.ask("POST", "/v1/turns", TURN | lie, headers=tokens["chat"])
    gateway.ask("POST", "/v1/turns", TURN | lie | {"kind": "api"}, headers=tokens["chat"])
    gateway.ask("POST", "/v1/chat/completions", CHAT, headers=tokens["chat"])
    gateway.ask("POST", "/v1/chat/completions", CHAT | {"user": "me"}, headers=tokens["chat"])
    with gateway.socket(tokens["chat"]) as chat:
        _answered(chat, message="hello", **lie)
    gateway.ask("POST", "/v1/turns", TURN, headers=tokens["admin"])
    gateway.ask("POST", "/v1/turns", TURN, headers=OWNER)
    *guests, admins, owners = [one.asker for one in (await gateway.seen()).turns][-7:]
    assert guests == [AskedBy(name="only-chat", is_owner=False)] * 5
    assert admins == AskedBy(name="only-admin")
    assert owners == AskedBy()


def test_a_revoked_token_is_refused_at_once_and_what_is_open_with_it_ends(gateway: Gateway) -> None:
    lost, kept = _made(gateway, "lost", "chat"), _made(gateway, "kept", "chat")
    long = CHAT | {"stream": True, "messages": [{"role": "user", "content": "is long"}]}
    with (
        _stream(gateway, "/v1/chat/completions", long, lost) as stream,
        _stream(gateway, "/v1/turns", {"message": "is silent"}, lost) as silent,
        gateway.socket(lost) as chat,
        gateway.socket(kept) as other,
    ):
        for socket_ in (chat, other):
            socket_.send(json.dumps({"type": "turn", "message": "is long"}))
            socket_.recv(timeout=10)
        began = time.monotonic()
        assert _ask(gateway, "DELETE", "/v1/tokens/lost").json == {"count": 1}
        for broken in (stream, silent):
            with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):  # and no end that looks like one
                broken.read()
        with pytest.raises(ConnectionClosed) as caught:
            _read_on(chat)
        assert time.monotonic() - began < 3
        assert caught.value.rcvd is not None
        assert (caught.value.rcvd.code, "revoked" in caught.value.rcvd.reason) == (1008, True)
        for _ in range(5):
            assert json.loads(other.recv(timeout=5))["type"] != "error"
    assert gateway.ask("GET", "/v1/models", headers=lost).status == 401
    assert "Traceback" not in gateway.log


@contextlib.contextmanager
def _stream(gateway: Gateway, path: str, body: Any, headers: dict[str, str]) -> Iterator[http.client.HTTPResponse]:
    """Ask for a stream and read its first bytes."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=5)) as connection:
        connection.request("POST", path, json.dumps(body), headers)
        with connection.getresponse() as response:
            assert response.status == 200
            assert response.read1(1)
            yield response


def _read_on(chat: ClientConnection) -> None:
    while True:
        chat.recv(timeout=5)


def test_a_token_for_a_tool_cannot_use_up_the_gateways_connections(gateway: Gateway) -> None:
    greedy = _made(gateway, "greedy", "chat")
    with contextlib.ExitStack() as crowd:
        sockets = [crowd.enter_context(gateway.socket(greedy)) for _ in range(64)]
        sockets[0].send(json.dumps({"type": "turn", "message": "is silent"}))
        turn = json.loads(sockets[0].recv(timeout=10))["turn_id"]
        for chat in sockets:
            for _ in range(15):
                chat.send(json.dumps({"type": "follow", "turn_id": turn, "after": 1000}))
        refused = _first_message(sockets)
        assert (refused["type"], refused["code"]) == ("error", "busy")
        assert _gateways_descriptors(gateway) < 1400
        assert gateway.ask("POST", "/v1/chat/completions", CHAT, headers=greedy).status == 429
        assert _ask(gateway, "POST", "/v1/chat/completions", CHAT).status == 200
    assert "Traceback" not in gateway.log


def test_a_token_for_a_tool_cannot_fill_the_memory_with_bodies_that_never_end(gateway: Gateway) -> None:
    hoarder = _made(gateway, "hoarder", "chat")
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: {hoarder['Authorization']}\r\nContent-Length: {16 << 20}\r\n\r\n"
    ).encode()
    with contextlib.ExitStack() as crowd:
        connections = [
            crowd.enter_context(socket.create_connection(("127.0.0.1", gateway.port), timeout=10)) for _ in range(5)
        ]
        for one in connections:
            one.sendall(head + bytes(15 << 20))
        assert _first_answer(connections).startswith(b"HTTP/1.1 429 ")
        large = CHAT | {"messages": [{"role": "user", "content": "x" * (15 << 20)}]}
        assert _ask(gateway, "POST", "/v1/chat/completions", large).status != 429
    assert _until_it_is_not(429, gateway, hoarder) == 200


def _first_message(sockets: list[ClientConnection]) -> Any:
    """Return what comes first on any of them: which ones have their way is nobody's to say."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for one in sockets:
            with contextlib.suppress(TimeoutError):
                return json.loads(one.recv(timeout=0.01))
    raise AssertionError("nothing came")


def _first_answer(connections: list[socket.socket]) -> bytes:
    readable, _, _ = select.select(connections, [], [], 10)
    assert isinstance(readable[0], socket.socket)
    return readable[0].recv(4096)


def _until_it_is_not(status: int, gateway: Gateway, headers: dict[str, str]) -> int:
    """Ask until something else comes: it takes a moment until the gateway sees that a client has gone."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        found = gateway.ask("POST", "/v1/chat/completions", CHAT, headers=headers).status
        if found != status:
            return found
    return status


def _gateways_descriptors(gateway: Gateway) -> int:
    return len(list(Path(f"/proc/{gateway.process.popen.pid}/fd").iterdir()))


def test_tokens_outlive_a_crash_and_are_nowhere_in_the_clear(tmp_path: Path, free_port: int) -> None:
    env = environment(tmp_path, free_port, OCG_UI_TOKEN=STRONG)
    with agent(tmp_path, env):
        with serving(tmp_path, env) as gateway:
            made = _made(gateway, "laptop", "chat")
            assert gateway.ask("GET", "/v1/sessions", headers=made).status == 403
            gateway.process.popen.kill()
            gateway.process.wait()
        (tmp_path / "ocg.gateway.notify").unlink()
        with serving(tmp_path, env) as gateway:
            assert gateway.ask("POST", "/v1/chat/completions", CHAT, headers=made).status == 200
            secret = made["Authorization"].removeprefix("Bearer ")
            assert secret not in gateway.log
            assert gateway.process.stop() == 0
        files = [one for one in (tmp_path / "data").rglob("*") if one.is_file()]
        assert not any(secret.encode() in one.read_bytes() for one in files)
        (kept,) = json.loads((tmp_path / "data/tokens.json").read_text())["tokens"]
        assert kept["used_at"] > kept["created_at"], "the last use is kept at the end"


def test_a_damaged_file_of_tokens_is_named_and_a_restart_does_not_mend_it(tmp_path: Path, free_port: int) -> None:
    env = environment(tmp_path, free_port, OCG_UI_TOKEN=STRONG)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/tokens.json").write_text("{")
    process = Process(tmp_path, "ocg.gateway", env)
    try:
        assert process.wait() == 78
        assert "tokens.json is damaged" in process.log
    finally:
        process.close()


def test_a_flood_of_wrong_tokens_keeps_no_right_one_out(gateway: Gateway, tokens: dict[str, dict[str, str]]) -> None:
    def guess(number: int) -> int:
        return gateway.ask("GET", "/v1/sessions", headers=_bearer(f"ocg_{number}")).status

    with ThreadPoolExecutor(60) as pool:
        guesses = [pool.submit(guess, number) for number in range(200)]
        right = [gateway.ask("GET", "/v1/tokens", headers=one).status for one in (OWNER, tokens["admin"]) * 5]
        found = [one.result() for one in guesses]
    assert set(right) == {200}
    assert set(found) == {401, 429}
    lines = [line for line in gateway.log.splitlines() if "a wrong token" in line]
    assert len(lines) <= 4, "a flood fills no log"


def test_a_rate_limit_refuses_with_the_standard_headers_and_openais_client_reads_them(
    gateway: Gateway, tokens: dict[str, dict[str, str]]
) -> None:
    key = tokens["chat"]["Authorization"].removeprefix("Bearer ")
    with (
        _limited(gateway, "token:only-chat", "2/min"),
        OpenAI(base_url=f"{gateway.url}/v1", api_key=key, max_retries=0) as client,
    ):
        for left in ("1", "0"):
            answer = client.chat.completions.with_raw_response.create(
                model="ocg", messages=[{"role": "user", "content": "hello"}]
            )
            assert answer.headers["x-ratelimit-remaining-requests"] == left
            assert answer.headers["x-ratelimit-limit-requests"] == "2"
            assert answer.headers["ratelimit-policy"] == '"token:only-chat";q=2;w=60'
        with pytest.raises(RateLimitError) as caught:
            client.chat.completions.create(model="ocg", messages=[{"role": "user", "content": "hello"}])
        assert caught.value.code == "rate_limit_exceeded"
        assert 25 <= int(caught.value.response.headers["retry-after"]) <= 30
        assert gateway.ask("POST", "/v1/turns", TURN, headers=tokens["chat"]).status == 429
        assert gateway.ask("POST", "/v1/turns/t-none/cancel", headers=tokens["chat"]).status == 404
        assert gateway.ask("POST", "/v1/turns", TURN, headers=OWNER).status == 200, "others are not limited by it"
        with gateway.socket(tokens["chat"]) as chat:
            refused = _answered(chat, message="hello", message_id="m-9")
            assert (refused["code"], refused["message_id"]) == ("rate_limit_exceeded", "m-9")
            assert _answered(chat, message="/stop")["type"] == "turn.completed"
    assert gateway.ask("POST", "/v1/turns", TURN, headers=tokens["chat"]).status == 200


def test_no_limit_keeps_a_stop_out_and_yet_they_do_not_come_without_end(gateway: Gateway) -> None:
    with _limited(gateway, "token:stopper", "1/day"), gateway.socket(_made(gateway, "stopper", "chat")) as chat:
        answers = [_answered(chat, message="/stop") for _ in range(70)]
    assert {one["type"] for one in answers[:60]} == {"turn.completed"}
    assert (answers[-1]["type"], answers[-1]["code"]) == ("error", "rate_limit_exceeded")


def test_as_many_answers_as_one_request_asks_for_are_counted_whoever_gives_them(
    gateway: Gateway, tokens: dict[str, dict[str, str]]
) -> None:
    def ask(model: str, n: int) -> Reply:
        return gateway.ask("POST", "/v1/chat/completions", CHAT | {"model": model, "n": n}, headers=tokens["chat"])

    for model, rate in (("ocg", 4), ("other/model", 5), ("smollm2-135m", 6)):
        with _limited(gateway, "token:only-chat", f"{rate}/h"):
            too_many = ask(model, rate + 1)
            assert (too_many.status, too_many.error["hint"]) == (429, f"ask for no more than {rate} at once")
            assert too_many.headers["retry-after"] is None, "no wait is long enough"
            assert ask(model, rate - 1).headers["x-ratelimit-remaining-requests"] == "1"
            refused = ask(model, 2)
            assert (refused.status, refused.error["code"]) == (429, "rate_limit_exceeded")
            assert 3500 < int(refused.headers["retry-after"]) * rate <= 3600
            assert refused.headers["x-ratelimit-remaining-requests"] == "1", "what is refused is not counted"
        assert (ask(model, 17).status, ask(model, 17).error["param"]) == (400, "n")
    assert len(ask("ocg", 3).json["choices"]) == 3


def test_each_dialect_says_in_its_own_words_that_it_is_too_much(
    gateway: Gateway, tokens: dict[str, dict[str, str]]
) -> None:
    hello = {"model": "ocg", "messages": [{"role": "user", "content": "hello"}]}
    with _limited(gateway, "token:*", "1/h"):
        assert gateway.ask("POST", "/api/chat", hello, headers=tokens["chat"]).status == 200
        said = "token:only-chat is limited to 1/h"
        for path, body, where in (
            ("/v1/messages", hello | {"max_tokens": 9}, ("error", "message")),
            ("/api/chat", hello, ("error",)),
            ("/api/generate", {"model": "ocg", "prompt": "hello"}, ("error",)),
            ("/v1/responses", {"model": "ocg", "input": "hello"}, ("error", "message")),
        ):
            reply = gateway.ask("POST", path, body, headers=tokens["chat"])
            assert (reply.status, reply.headers["ratelimit"].partition(";")[0]) == (429, '"token:only-chat"'), path
            assert int(reply.headers["retry-after"]) > 3500
            found = reply.json
            for step in where:
                found = found[step]
            assert said in found, path
        assert gateway.ask("POST", "/v1/messages", {}, headers=tokens["chat"]).error["type"] == "rate_limit_error"
        count = gateway.ask("POST", "/v1/messages/count_tokens", hello, headers=tokens["chat"])
        assert (count.status, count.error["type"]) == (429, "rate_limit_error"), "a model's tokenizer works for it"
        assert gateway.ask("POST", "/api/show", {"model": "ocg"}, headers=tokens["chat"]).status != 429


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/v1/tokens", {"name": "a.b"}, "name"),
        ("/v1/tokens", {"name": "a", "scopes": ["root"]}, "scopes[0]"),
        ("/v1/tokens", {"name": "a", "scopes": []}, "scopes"),
        ("/v1/tokens", {"name": "a", "expires_days": 0}, "expires_days"),
        ("/v1/ratelimits", {"key": "laptop", "rate": "1/s"}, "key"),
        ("/v1/ratelimits", {"key": "token:a", "rate": "often"}, "rate"),
        ("/v1/ratelimits", {"key": "token:a"}, "rate"),
    ],
)
def test_what_does_not_fit_is_named(gateway: Gateway, path: str, body: Any, param: str) -> None:
    reply = _ask(gateway, "POST", path, body)
    assert (reply.status, reply.error["param"]) == (400, param), reply.body
