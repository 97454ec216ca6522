"""Other pages: none may ask, unless OCG_CORS_ORIGINS names where it is from; then by a token, and never by a cookie."""

import json
import socket
import time
from collections.abc import Iterator

import pytest
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from ocg.protocol import login
from tests.service.gateway import BEARER, TOKEN, Gateway, agent, environment, serving

_APP = "https://app.example"
_COOKIE = {"Cookie": f"{login.COOKIE_NAME}={login.new_cookie(TOKEN, time.time())}"}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway that lets two other pages ask."""
    folder = tmp_path_factory.mktemp("cors")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = environment(folder, port, OCG_CORS_ORIGINS=f"{_APP} http://localhost:3000")
    with agent(folder, env), serving(folder, env) as found:
        yield found


def _preflight(gateway: Gateway, origin: str) -> tuple[int, dict[str, str]]:
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,x-stainless-os",
        "Access-Control-Request-Private-Network": "true",
    }
    reply = gateway.ask("OPTIONS", "/v1/chat/completions", headers=asked)
    return reply.status, {name.lower(): value for name, value in reply.headers.items()}


def test_a_page_that_is_named_asks_by_a_token_and_reads_the_answer(gateway: Gateway) -> None:
    status, allowed = _preflight(gateway, _APP)
    assert status == 200
    assert allowed["access-control-allow-origin"] == _APP
    assert "POST" in allowed["access-control-allow-methods"]
    assert "x-stainless-os" in allowed["access-control-allow-headers"]
    assert allowed["access-control-allow-private-network"] == "true"
    cross = {"Origin": _APP, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}
    for headers, wanted in ((BEARER | cross, 200), (cross, 401), (BEARER | {"Origin": "http://localhost:3000"}, 200)):
        reply = gateway.ask("GET", "/v1/sessions", headers=headers)
        assert reply.status == wanted
        assert reply.headers["access-control-allow-origin"] == headers["Origin"]
        assert reply.headers["access-control-expose-headers"] == "*"
        assert "Origin" in reply.headers["vary"]
        assert "access-control-allow-credentials" not in reply.headers
    assert "access-control-allow-credentials" not in allowed


def test_its_cookie_counts_for_nothing(gateway: Gateway) -> None:
    assert gateway.ask("GET", "/v1/sessions", headers=_COOKIE).status == 200
    assert gateway.ask("GET", "/v1/sessions", headers=_COOKIE | {"Origin": gateway.url}).status == 200
    assert gateway.ask("GET", "/v1/sessions", headers=_COOKIE | {"Origin": _APP}).status == 401


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "https://app.example.evil.example",
        "https://app.example:8443",
        "http://app.example",
        "http://localhost:3001",
        "null",
        "https://app.example, https://evil.example",
        "",
    ],
)
def test_all_others_get_nothing(gateway: Gateway, origin: str) -> None:
    status, headers = _preflight(gateway, origin)
    assert status in {400, 403}
    assert "access-control-allow-origin" not in headers
    reply = gateway.ask("GET", "/v1/sessions", headers=BEARER | {"Origin": origin})
    assert (reply.status, reply.error["code"]) == (403, "forbidden")
    assert "access-control-allow-origin" not in reply.headers


def test_what_comes_without_an_origin_from_another_page_is_still_refused(gateway: Gateway) -> None:
    headers = BEARER | {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
    assert gateway.ask("GET", "/v1/sessions", headers=headers).status == 403


def test_its_websocket_brings_the_token_by_the_name_of_a_protocol(gateway: Gateway) -> None:
    offered = [Subprotocol("ocg"), Subprotocol(f"ocg.bearer.{TOKEN}")]
    with gateway.socket({"Origin": _APP}, subprotocols=offered) as chat:
        assert chat.subprotocol == "ocg"
        chat.send(json.dumps({"type": "turn", "message": "hello"}))
        assert json.loads(chat.recv(timeout=10))["type"] == "turn.started"
    assert TOKEN not in gateway.log


@pytest.mark.parametrize(
    ("headers", "offered"),
    [
        ({"Origin": _APP}, ["ocg"]),
        ({"Origin": _APP}, ["ocg", "ocg.bearer.wrong"]),
        ({"Origin": _APP}, ["ocg", "ocg.bearer.wrong", f"ocg.bearer.{TOKEN}"]),  # one guess a request
        ({"Origin": _APP} | _COOKIE, ["ocg"]),
        ({"Origin": "https://evil.example"}, ["ocg", f"ocg.bearer.{TOKEN}"]),
    ],
)
def test_a_websocket_without_it_is_refused(gateway: Gateway, headers: dict[str, str], offered: list[str]) -> None:
    protocols = [Subprotocol(one) for one in offered]
    with pytest.raises(InvalidStatus) as caught, gateway.socket(headers, subprotocols=protocols):
        pass
    assert caught.value.response.status_code in {401, 403}
