"""Attacks on the connection itself: what could be understood in two ways is refused, what never ends is cut."""

import re
import socket
import time
from collections.abc import Iterator

import pytest

from tests.service.gateway import BEARER, TOKEN, Gateway, agent, environment, serving

_HOST = b"Host: 127.0.0.1\r\n"
_AUTH = b"Authorization: Bearer " + TOKEN.encode() + b"\r\n"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway and an agent's double for all of these tests."""
    folder = tmp_path_factory.mktemp("hostile")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = environment(folder, port)
    with agent(folder, env), serving(folder, env) as found:
        yield found
        assert "Traceback" not in found.log


def _say(gateway: Gateway, data: bytes, *, timeout_s: float = 5.0) -> bytes:
    """Send bytes and return all that comes until the peer closes or is silent."""
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=timeout_s) as raw:
        answer = b""
        try:
            raw.sendall(data)
            while chunk := raw.recv(65536):
                answer += chunk
        except OSError:  # silence, or a reset: both end it
            pass
        return answer


def _statuses(answer: bytes) -> list[int]:
    return [int(one) for one in re.findall(rb"HTTP/1\.[01] (\d{3}) ", answer)]


_EVIL = b"Host: evil.example\r\n"
_LINE = b"GET /v1/sessions HTTP/1.1\r\n"
_GET = _LINE + _HOST + _AUTH
_LAST = b"Connection: close\r\n\r\n"


def test_what_is_asked_plainly_is_answered(gateway: Gateway) -> None:
    assert _statuses(_say(gateway, _GET + _LAST)) == [200]


@pytest.mark.parametrize(
    ("name", "request_bytes"),
    [
        ("two Hosts", _LINE + _HOST + _EVIL + _AUTH + _LAST),
        ("the same Host twice", _LINE + _HOST + _HOST + _AUTH + _LAST),
        ("no Host", _LINE + _AUTH + _LAST),
        ("an empty Host", _LINE + b"Host:\r\n" + _AUTH + _LAST),
        ("another's name, whole address", b"GET http://evil.example/v1/sessions HTTP/1.1\r\n" + _EVIL + _AUTH + _LAST),
        ("Origin null", _GET + b"Origin: null\r\n" + _LAST),
        ("another Origin", _GET + b"Origin: https://evil.example\r\n" + _LAST),
        ("our Origin after another", _GET + b"Origin: https://evil.example\r\nOrigin: http://127.0.0.1\r\n" + _LAST),
        ("a name with our address in it", _LINE + b"Host: 127.0.0.1.evil.example\r\n" + _AUTH + _LAST),
        ("a proxy's word", _LINE + _EVIL + b"X-Forwarded-Host: 127.0.0.1\r\n" + _AUTH + _LAST),
        ("a tunnel", b"CONNECT 127.0.0.1:22 HTTP/1.1\r\n" + _HOST + _AUTH + _LAST),
    ],
)
def test_who_is_asked_for_must_be_clear_and_us(gateway: Gateway, name: str, request_bytes: bytes) -> None:
    statuses = _statuses(_say(gateway, request_bytes))
    assert len(statuses) == 1, name
    assert statuses[0] in {400, 403, 404, 405}, name


_SMUGGLED = b"GET /v1/memories?q=smuggled HTTP/1.1\r\n" + _HOST + _AUTH + b"\r\n"


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        b"Content-Length: 4\r\nContent-Length: 400\r\n",
        b"Content-Length: 4, 400\r\n",
        b"Content-Length: +4\r\n",
        b"Content-Length: -4\r\n",
        b"Content-Length: 0x4\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b"Transfer-Encoding:\x0bchunked\r\n",
        b"X: y\nTransfer-Encoding: chunked\r\n",
        b"X: y\r\n Transfer-Encoding: chunked\r\n",
    ],
)
async def test_no_request_is_smuggled_behind_another(gateway: Gateway, head: bytes) -> None:
    asked = b"POST /v1/memories HTTP/1.1\r\n" + _HOST + _AUTH + head + b"\r\n0\r\n\r\n" + _SMUGGLED
    statuses = _statuses(_say(gateway, asked, timeout_s=1.0))
    assert 200 not in statuses
    assert not any("smuggled" in one for one in (await gateway.seen()).queries)


@pytest.mark.parametrize(
    "line",
    [
        b"GET  /v1/sessions HTTP/9.9\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n",
        b"GET /v1/sessions HTTP/1.1\r\nBad Name: x\r\n",
        b"GET /v1/sessions HTTP/1.1\r\nX: \x00\r\n",
    ],
)
def test_what_is_no_http_is_refused(gateway: Gateway, line: bytes) -> None:
    assert _statuses(_say(gateway, line + _HOST + _AUTH + _LAST)) in ([400], [])


def test_a_head_of_64_kib_is_the_end_of_it(gateway: Gateway) -> None:
    many = b"".join(b"X-%d: %s\r\n" % (number, b"x" * 1000) for number in range(100))
    assert _statuses(_say(gateway, _GET + many + _LAST)) in ([431], [])
    long_path = b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n" + _HOST + _LAST
    assert _statuses(_say(gateway, long_path)) in ([431], [])


def test_a_head_that_drips_is_cut_after_twenty_seconds_and_hinders_nobody(gateway: Gateway) -> None:
    drips = [socket.create_connection(("127.0.0.1", gateway.port), timeout=30) for _ in range(200)]
    began = time.monotonic()
    try:
        for one in drips:
            one.sendall(b"GET / HTTP/1.1\r\nX: ")
        while time.monotonic() - began < 15:
            for one in drips:
                one.sendall(b"x")
            answered = time.monotonic()
            assert gateway.ask("GET", "/v1/sessions").status == 200
            assert time.monotonic() - answered < 1.0
            time.sleep(1)
        for one in drips:
            assert _is_cut(one)
        assert time.monotonic() - began < 25
    finally:
        for one in drips:
            one.close()


def _is_cut(one: socket.socket) -> bool:
    try:
        return not one.recv(1)
    except ConnectionError:
        return True


def test_every_answer_that_the_api_has_is_safe_to_look_at(gateway: Gateway) -> None:
    """Whatever path, whoever asks: no answer is a document that can do something, and none lets another page in."""
    paths = gateway.ask("GET", "/openapi.json").json["paths"]
    asked = [(method.upper(), path) for path, item in paths.items() for method in item if method != "parameters"]
    assert len(asked) > 15
    for method, path in [*asked, ("GET", "/"), ("GET", "/favicon.ico"), ("GET", "/nothing"), ("TRACE", "/v1/models")]:
        for headers in ({}, BEARER, BEARER | {"Origin": "https://evil.example"}):
            reply = gateway.ask(
                method, re.sub(r"\{[^}]*\}", "x", path), b"{" if method == "POST" else None, headers=headers
            )
            where = f"{method} {path}: {reply.status}"
            assert reply.status < 500 or reply.status == 503, where
            policy = reply.headers["content-security-policy"]
            assert "default-src 'none'" in policy, where
            assert "frame-ancestors 'none'" in policy, where
            assert "unsafe" not in policy, where
            assert "//" not in policy, where
            assert reply.headers["x-content-type-options"] == "nosniff", where
            assert reply.headers["cross-origin-resource-policy"] == "same-origin", where
            assert "camera=()" in reply.headers["permissions-policy"], where
            assert "server" not in reply.headers, where
            assert "access-control-allow-origin" not in reply.headers, where
