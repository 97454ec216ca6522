"""The gateway as a process, in front of an agent's double: who gets in, what passes through, what bad input meets."""

import contextlib
import http.client
import json
import re
import socket
import stat
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ocg.protocol import login
from tests.agent_double import MEMORY, SESSION
from tests.service.gateway import BEARER, TOKEN, Gateway, agent, environment, serving


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway and an agent's double for all of these tests."""
    folder = tmp_path_factory.mktemp("gateway")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = environment(folder, port, OCG_ALLOWED_HOSTS="nas.lan")
    with agent(folder, env), serving(folder, env) as found:
        yield found


def _sign_in(gateway: Gateway, body: dict[str, str]) -> str:
    """Return the cookie as a browser would send it."""
    reply = gateway.ask("POST", "/login", body, headers={})
    assert reply.status == 204, reply.body
    cookie = reply.headers["set-cookie"]
    for part in ("HttpOnly", "SameSite=strict", "Path=/", "Max-Age=2592000"):
        assert part.lower() in cookie.lower()
    return cookie.partition(";")[0]


def test_health_needs_no_token_and_says_who_is_down(gateway: Gateway) -> None:
    reply = gateway.ask("GET", "/health", headers={})
    assert reply.status == 503
    assert reply.json["services"] == {"ocg-embedding": "down", "ocg-agent": "ok", "ocg-gateway": "ok"}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/models"),
        ("POST", "/v1/chat/completions"),
        ("POST", "/v1/embeddings"),
        ("GET", "/v1/sessions"),
        ("DELETE", "/v1/sessions/s-1"),
        ("GET", "/v1/memories"),
        ("POST", "/v1/turns"),
        ("POST", "/v1/turns/t/cancel"),
        ("POST", "/logout"),
        ("GET", "/nothing/here"),
        ("GET", "/assets/../v1/sessions"),
        ("GET", "/login/../v1/sessions"),
    ],
)
def test_all_else_needs_one(gateway: Gateway, method: str, path: str) -> None:
    for headers in ({}, {"Cookie": "ocg_login=99999999999999.x.y"}):
        reply = gateway.ask(method, path, headers=headers)
        assert reply.status in {401, 404}, reply.body
        assert reply.status == 401 or path.startswith("/assets/")
        if reply.status == 401:
            assert reply.error["code"] == "unauthorized"
            assert reply.headers["www-authenticate"] == "Bearer"


def test_a_wrong_token_is_refused_slowly_and_logged_without_it(gateway: Gateway) -> None:
    began = time.monotonic()
    assert gateway.ask("GET", "/v1/sessions", headers={"Authorization": "Bearer gue55"}).status == 401
    assert gateway.ask("POST", "/login", {"token": "gue55"}, headers={}).status == 401
    assert time.monotonic() - began >= 1.0
    assert "a wrong token or login code from 127.0.0.1" in gateway.log
    assert "gue55" not in gateway.log


def test_guessing_with_many_connections_is_no_faster(gateway: Gateway) -> None:
    def guess(number: int) -> int:
        return gateway.ask("GET", "/v1/sessions", headers={"X-OCG-UI-Token": str(number)}).status

    with ThreadPoolExecutor(80) as pool:
        found = list(pool.map(guess, range(80)))
    assert set(found) == {401, 429}
    assert found.count(401) >= 16
    assert gateway.ask("GET", "/v1/sessions").status == 200


@pytest.mark.parametrize("credentials", ["token", "code"])
def test_the_cookie_from_a_login_opens_what_the_token_does(gateway: Gateway, credentials: str) -> None:
    value = TOKEN if credentials == "token" else login.new_code(TOKEN, time.time())
    cookie = _sign_in(gateway, {credentials: value})
    assert gateway.ask("GET", "/v1/sessions", headers={"Cookie": cookie}).status == 200
    reply = gateway.ask("POST", "/logout", headers={"Cookie": cookie})
    assert reply.status == 204
    assert "max-age=0" in reply.headers["set-cookie"].lower()


def test_codes_are_refused_when_used_forged_or_older_than_the_gateway(gateway: Gateway) -> None:
    code = login.new_code(TOKEN, time.time())
    _sign_in(gateway, {"code": code})
    old = login.new_code(TOKEN, time.time() - 300)
    for wrong in (code, old, login.new_code("another token", time.time()), "x"):
        reply = gateway.ask("POST", "/login", {"code": wrong}, headers={})
        assert (reply.status, reply.error["code"]) == (401, "unauthorized")
        assert "set-cookie" not in reply.headers
    assert code not in gateway.log


def test_other_names_and_other_pages_get_nothing(gateway: Gateway) -> None:
    for path in ("/health", "/", "/v1/sessions"):
        assert gateway.ask("GET", path, host="evil.example").error["code"] == "forbidden"
        reply = gateway.ask("GET", path, headers=BEARER | {"Origin": "https://evil.example"})
        assert (reply.status, reply.error["code"]) == (403, "forbidden")
        assert "access-control-allow-origin" not in reply.headers
    preflight = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    assert gateway.ask("OPTIONS", "/v1/turns", headers=preflight).status == 403
    assert gateway.ask("GET", "/v1/sessions", host=f"nas.lan:{gateway.port}").status == 200


def test_every_answer_has_the_safe_headers(gateway: Gateway) -> None:
    for path, headers in (("/health", {}), ("/v1/sessions", {}), ("/v1/sessions", BEARER), ("/nothing", BEARER)):
        reply = gateway.ask("GET", path, headers=headers)
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["referrer-policy"] == "no-referrer"
        assert reply.headers["cross-origin-opener-policy"] == "same-origin"
        assert reply.headers["cross-origin-resource-policy"] == "same-origin"
        assert reply.headers["cache-control"] == "no-store"
        assert "default-src 'none'" in reply.headers["content-security-policy"]


def test_the_page_comes_with_its_policy_and_in_the_form_the_browser_takes(gateway: Gateway) -> None:
    plain = gateway.ask("GET", "/", headers={})
    assert plain.status == 200, plain.body
    assert plain.headers["cache-control"] == "no-cache"
    assert "script-src 'self'" in plain.headers["content-security-policy"]
    script = re.findall(rb'src="(assets/app-[^"]+)"', plain.body)[0].decode()
    whole = gateway.ask("GET", f"/{script}", headers={})
    assert whole.headers["content-type"].startswith("text/javascript")
    assert "immutable" in whole.headers["cache-control"]
    packed = gateway.ask("GET", f"/{script}", headers={"Accept-Encoding": "gzip, br"})
    assert packed.headers["content-encoding"] == "br"
    assert len(packed.body) < len(whole.body)
    again = gateway.ask("GET", "/", headers={"If-None-Match": plain.headers["etag"]})
    assert (again.status, again.body) == (304, b"")


@pytest.mark.parametrize("path", ["/assets/nothing.js", "/assets/..%2findex.html", "/assets/%00.js", "/assets/.js"])
def test_a_file_that_is_not_there_is_an_error_and_not_the_page(gateway: Gateway, path: str) -> None:
    reply = gateway.ask("GET", path, headers={})
    assert (reply.status, reply.error["code"]) == (404, "not_found")


def test_sessions_and_memories_pass_through(gateway: Gateway) -> None:
    assert gateway.ask("GET", "/v1/sessions").json["sessions"][0]["id"] == SESSION.id
    found = gateway.ask("GET", "/v1/sessions/s-1").json
    assert found["messages"][0]["content"] == "é" * 400_000  # more than one chunk
    assert gateway.ask("DELETE", "/v1/sessions/s-1").json == {"count": 1}
    assert gateway.ask("GET", "/v1/memories?q=a%26b&limit=3").json["memories"][0]["id"] == MEMORY.id
    assert gateway.ask("POST", "/v1/memories", {"text": "a fact"}).json["id"] == MEMORY.id
    assert gateway.ask("DELETE", "/v1/memories/m-1").json == {"count": 1}


async def test_a_query_reaches_the_agent_as_it_was_meant(gateway: Gateway) -> None:
    gateway.ask("GET", "/v1/memories?q=a%26limit%3D9%20%C3%A9")
    assert (await gateway.seen()).queries[-1] == "q=a%26limit%3D9+%C3%A9&limit=20"


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code", "param"),
    [
        ("GET", "/v1/sessions/none", None, 404, "not_found", None),
        ("GET", "/v1/sessions/a%2Fb", None, 404, "not_found", None),
        ("GET", "/v1/sessions/a%20b", None, 400, "invalid_request", "id"),
        ("DELETE", "/v1/memories/" + "x" * 129, None, 400, "invalid_request", "id"),
        ("GET", "/v1/memories?limit=0", None, 400, "invalid_request", "limit"),
        ("GET", "/v1/memories?limit=x", None, 400, "invalid_request", "limit"),
        ("POST", "/v1/memories", {"text": ""}, 400, "invalid_request", "text"),
        ("POST", "/v1/memories", b"{", 400, "invalid_request", None),
        ("POST", "/v1/turns", {"message": 1}, 400, "invalid_request", "message"),
        ("POST", "/v1/turns", {}, 400, "invalid_request", "message"),
        ("POST", "/v1/turns", b"\xff\xfe", 400, "invalid_request", None),
        ("POST", "/v1/turns", b"[" * 100_000, 400, "invalid_request", None),
        ("POST", "/v1/turns/none/cancel", None, 404, "not_found", None),
        ("POST", "/login", {"token": 5}, 400, "invalid_request", "token"),
        ("GET", "/nothing", None, 404, "not_found", None),
        ("DELETE", "/v1/models", None, 405, "method_not_allowed", None),
    ],
)
def test_bad_input_is_named(
    gateway: Gateway, method: str, path: str, body: object, status: int, code: str, param: str | None
) -> None:
    reply = gateway.ask(method, path, body)
    assert (reply.status, reply.error["code"], reply.error["param"]) == (status, code, param), reply.body
    assert reply.error["message"]
    assert "Traceback" not in gateway.log


def test_a_wrong_method_is_told_the_right_ones_of_every_route(gateway: Gateway) -> None:
    assert gateway.ask("PATCH", "/v1/memories/m-1").headers["allow"] == "DELETE"
    assert gateway.ask("DELETE", "/v1/memories").headers["allow"] == "GET, HEAD, POST"


def test_what_is_no_http_is_refused_in_the_one_shape(gateway: Gateway) -> None:
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as raw:
        raw.sendall(b"GET /health HTTP/9\r\n\r\n")
        head, _, body = b"".join(iter(lambda: raw.recv(4096), b"")).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert json.loads(body)["error"]["code"] == "invalid_request"


def test_a_body_over_the_limit_is_refused_without_being_read(gateway: Gateway) -> None:
    reply = gateway.ask("POST", "/login", b"x" * 5000, headers={})
    assert (reply.status, reply.error["code"]) == (413, "too_large")
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=10)) as connection:
        connection.putrequest("POST", "/v1/turns")
        connection.putheader("Authorization", BEARER["Authorization"])
        connection.putheader("Content-Length", str(1 << 40))
        connection.endheaders()
        response = connection.getresponse()
        assert (response.status, json.loads(response.read())["error"]["code"]) == (413, "too_large")


def test_an_endless_head_is_refused(gateway: Gateway) -> None:
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as raw:
        raw.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: ")
        try:
            for _ in range(1000):
                raw.sendall(b"x" * 65536)
        except OSError:
            return
        answer = raw.recv(4096)
    raise AssertionError(f"64 MiB of header were taken: {answer!r}")


def test_a_turn_streams_the_agents_events(gateway: Gateway) -> None:
    reply = gateway.ask("POST", "/v1/turns", {"message": "hello", "message_id": "native-1", "session_id": "work"})
    assert reply.headers["content-type"].startswith("text/event-stream")
    frames = [frame.split(b"\ndata: ") for frame in reply.body.strip().split(b"\n\n")]
    events = [json.loads(data) for _, data in frames]
    assert [frame[0] for frame in frames] == [b"id: %d" % number for number in range(1, 7)]
    assert [event["type"] for event in events][::5] == ["turn.started", "turn.completed"]
    assert (events[0]["message_id"], events[0]["session_id"]) == ("native-1", "work")


def test_a_stream_the_agent_dies_in_ends_with_an_error(tmp_path: Path, free_port: int) -> None:
    env = environment(tmp_path, free_port)
    with agent(tmp_path, env), serving(tmp_path, env) as gateway:
        reply = gateway.ask("POST", "/v1/turns", {"message": "dies"})
        last = reply.body.strip().split(b"\n\n")[-1]
        assert last.startswith(b"event: error\ndata: ")
        assert json.loads(last.partition(b"data: ")[2])["error"]["code"] == "unavailable"


def test_without_a_token_one_is_made_and_kept(tmp_path: Path, free_port: int) -> None:
    env = environment(tmp_path, free_port)
    del env["OCG_UI_TOKEN"]
    with serving(tmp_path, env) as gateway:
        file = Path(env["OCG_DATA_DIR"], "token")
        token = file.read_text().strip()
        assert len(token) >= 40
        assert stat.S_IMODE(file.stat().st_mode) == 0o640
        assert not (tmp_path / "env.config").exists()
        assert gateway.ask("POST", "/login", {"token": token}, headers={}).status == 204
        assert token not in gateway.log


def test_a_port_in_use_is_said_and_no_token_is_made(tmp_path: Path, free_port: int) -> None:
    env = environment(tmp_path, free_port)
    del env["OCG_UI_TOKEN"]
    with socket.socket() as other:
        other.bind(("127.0.0.1", free_port))
        other.listen()
        with pytest.raises(AssertionError, match=f"port {free_port} on 127.0.0.1 is in use"), serving(tmp_path, env):
            pass
    assert not Path(env["OCG_DATA_DIR"], "token").exists()
