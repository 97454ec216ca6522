"""The WebSocket: several turns at once, errors as messages, bounds for clients that send or read badly."""

import asyncio
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection
from websockets.uri import parse_uri

from ocg.protocol import login
from tests.service.gateway import BEARER, TOKEN, Gateway, agent, environment, serving


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway and an agent's double for all of these tests."""
    folder = tmp_path_factory.mktemp("websocket")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = environment(folder, port)
    with agent(folder, env), serving(folder, env) as found:
        yield found


def _ask(chat: ClientConnection, text: str, **more: Any) -> None:
    chat.send(json.dumps({"type": "turn", "message": text} | more))


def _next(chat: ClientConnection) -> Any:
    return json.loads(chat.recv(timeout=10))


def _until(chat: ClientConnection, *kinds: str) -> list[Any]:
    found = [_next(chat)]
    while found[-1]["type"] not in kinds:
        found.append(_next(chat))
    return found


def _send_and_read_on(chat: ClientConnection, *messages: str) -> None:
    for message in messages:
        chat.send(message)
    while True:
        chat.recv(timeout=10)


def test_a_turn_comes_as_its_events(gateway: Gateway) -> None:
    with gateway.socket() as chat:
        _ask(chat, "hello", session_id="work", message_id="ws-1")
        found = _until(chat, "turn.completed")
    kinds = [event["type"] for event in found]
    assert kinds == ["turn.started", "text.delta", "tool.call", "tool.result", "text.delta", "turn.completed"]
    assert [event["seq"] for event in found] == [1, 2, 3, 4, 5, 6]
    assert (found[0]["message_id"], found[0]["session_id"]) == ("ws-1", "work")


def test_several_turns_run_at_once_and_one_can_be_cancelled(gateway: Gateway) -> None:
    with gateway.socket() as chat:
        _ask(chat, "is long", message_id="ws-long")
        first = _until(chat, "text.delta")[0]["turn_id"]
        _ask(chat, "hello", message_id="ws-short")
        assert _until(chat, "turn.completed")[-1]["turn_id"] != first
        chat.send(json.dumps({"type": "cancel", "turn_id": first}))
        last = _until(chat, "turn.failed")[-1]
        assert (last["turn_id"], last["code"]) == (first, "cancelled")


def test_a_turn_is_followed_by_its_id_from_where_another_socket_left_it(gateway: Gateway) -> None:
    with gateway.socket() as chat:
        _ask(chat, "hello", message_id="ws-followed")
        all_of_it = _until(chat, "turn.completed")
    with gateway.socket() as chat:
        chat.send(json.dumps({"type": "follow", "turn_id": all_of_it[0]["turn_id"], "after": 2}))
        assert _until(chat, "turn.completed") == all_of_it[2:]
        chat.send(json.dumps({"type": "follow", "turn_id": "t-none"}))
        found = _next(chat)
        assert (found["code"], found["turn_id"], found["message_id"]) == ("not_found", "t-none", None)


def test_cancelling_what_does_not_run_is_an_error_and_no_more(gateway: Gateway) -> None:
    with gateway.socket() as chat:
        chat.send(json.dumps({"type": "cancel", "turn_id": "t-none"}))
        assert _next(chat)["code"] == "not_found"
        _ask(chat, "hello")
        _until(chat, "turn.completed")


@pytest.mark.parametrize(
    ("sent", "message_id"),
    [
        ("{", None),
        ("", None),
        ("null", None),
        ("[]", None),
        (b"\xff\x00", None),
        ('{"type":"nothing"}', None),
        ('{"message":"hi"}', None),
        ('{"type":"turn"}', None),
        ('{"type":"turn","message":"","message_id":"m"}', "m"),
        ('{"type":"turn","message":3,"message_id":"m"}', "m"),
        ('{"type":"turn","message":"hi","session_id":"../x","message_id":"m"}', "m"),
        ('{"type":"cancel","turn_id":"a/b"}', None),
        ("[" * 500_000, None),
    ],
)
def test_what_does_not_fit_is_an_error_and_the_socket_stays(
    gateway: Gateway, sent: str | bytes, message_id: str | None
) -> None:
    with gateway.socket() as chat:
        chat.send(sent)
        found = _next(chat)
        assert (found["type"], found["code"]) == ("error", "invalid_request")
        assert found["message_id"] == message_id
        _ask(chat, "hello")
        _until(chat, "turn.completed")


def test_json_in_a_binary_frame_will_do(gateway: Gateway) -> None:
    with gateway.socket() as chat:
        chat.send(b'{"type":"turn","message":"hello"}')
        _until(chat, "turn.completed")


def test_a_frame_over_a_mebibyte_closes_the_socket(gateway: Gateway) -> None:
    with gateway.socket() as chat:
        with pytest.raises(ConnectionClosed):
            _send_and_read_on(chat, "x" * ((1 << 20) + 1))
        assert chat.close_code == 1009


def test_more_than_sixteen_turns_on_a_socket_are_too_many(gateway: Gateway) -> None:
    with gateway.socket() as chat:
        for number in range(17):
            _ask(chat, "is silent", message_id=f"busy-{number}")
        found = _until(chat, "error")[-1]
        assert (found["code"], found["message_id"]) == ("busy", "busy-16")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Cookie": "ocg_login=1.2.3"}, 401),
        (BEARER | {"Origin": "https://evil.example"}, 403),
        (BEARER | {"Origin": "http://127.0.0.1:1"}, 403),
        (BEARER | {"Origin": "null"}, 403),
        (BEARER | {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "websocket"}, 403),
    ],
)
def test_a_stranger_is_refused_before_the_upgrade(gateway: Gateway, headers: dict[str, str], status: int) -> None:
    with pytest.raises(InvalidStatus) as caught, gateway.socket(headers):
        pass
    assert caught.value.response.status_code == status
    assert json.loads(caught.value.response.body or b"")["error"]["code"] in {"unauthorized", "forbidden"}


def test_a_name_made_to_mean_this_machine_is_refused(gateway: Gateway) -> None:
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as raw:
        raw.sendall(
            b"GET /ws/chat HTTP/1.1\r\nHost: evil.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
            b"Authorization: Bearer " + TOKEN.encode() + b"\r\n\r\n"
        )
        assert raw.recv(4096).startswith(b"HTTP/1.1 403 ")


def test_our_own_page_gets_in_with_its_cookie(gateway: Gateway) -> None:
    cookie = f"{login.COOKIE_NAME}={login.new_cookie(TOKEN, time.time())}"
    with gateway.socket({"Cookie": cookie, "Origin": gateway.url}) as chat:
        _ask(chat, "hello")
        _until(chat, "turn.completed")


async def test_closing_the_socket_leaves_its_turns_running(gateway: Gateway) -> None:
    before = (await gateway.seen()).cancelled

    def leave() -> None:
        with gateway.socket() as chat:
            _ask(chat, "is long", message_id="left")
            _until(chat, "text.delta")

    await asyncio.to_thread(leave)
    await asyncio.sleep(0.2)
    assert (await gateway.seen()).cancelled == before
    with gateway.socket() as chat:  # and who comes back with the same id joins it
        _ask(chat, "is long", message_id="left")
        assert _next(chat)["message_id"] == "left"
        assert len(_until(chat, "text.delta")) == 1


def _rss(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmRSS"))


def _exchange(raw: socket.socket, chat: ClientProtocol) -> None:
    """Send what waits and take in what came."""
    raw.sendall(b"".join(chat.data_to_send()))
    data = raw.recv(65536)
    assert data, "closed without a word"
    chat.receive_data(data)
    chat.events_received()


def test_a_client_that_does_not_read_is_closed_and_costs_no_memory(gateway: Gateway) -> None:
    with gateway.socket() as warm:
        _ask(warm, "hello")
        _until(warm, "turn.completed")
    before = _rss(gateway.process.popen.pid)
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as raw:
        chat = ClientProtocol(parse_uri(f"ws://127.0.0.1:{gateway.port}/ws/chat"))
        request = chat.connect()
        request.headers.update(BEARER)
        chat.send_request(request)
        _exchange(raw, chat)
        for number in range(4):  # 64 MiB
            chat.send_text(json.dumps({"type": "turn", "message": "floods", "message_id": f"flood-{number}"}).encode())
        raw.sendall(b"".join(chat.data_to_send()))
        deadline = time.monotonic() + 10
        while "does not read what it asked for" not in gateway.log and time.monotonic() < deadline:
            time.sleep(0.02)
        assert "does not read what it asked for" in gateway.log
        assert _rss(gateway.process.popen.pid) - before < 24 << 20
        while chat.close_rcvd is None:
            _exchange(raw, chat)
        assert chat.close_rcvd.code == 1013


def test_an_agent_that_dies_in_a_turn_is_an_error_for_that_turn(tmp_path: Path, free_port: int) -> None:
    env = environment(tmp_path, free_port)
    with serving(tmp_path, env) as gateway, gateway.socket() as chat:
        with agent(tmp_path, env):
            _ask(chat, "dies", message_id="m")
            found = _until(chat, "error")[-1]
        assert (found["code"], found["message_id"]) == ("unavailable", "m")
        with agent(tmp_path, env):
            _ask(chat, "hello")
            _until(chat, "turn.completed")
