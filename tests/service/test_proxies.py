"""The proxies of docs/listening.md, exactly as they stand there, before a gateway on a Unix socket."""

import contextlib
import http.client
import json
import os
import re
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect
from websockets.typing import Origin

from tests import certificates
from tests.processes import running
from tests.service.gateway import BEARER, TOKEN, agent, environment

_NAME = "ocg.example"
_DOCS = Path(__file__).parents[2] / "docs/listening.md"
_NGINX = """
daemon off; user {user}; pid {folder}/nginx.pid; error_log stderr; worker_processes 1;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
    uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    {servers}
}}
"""


def _example(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", _DOCS.read_text(), re.DOTALL)
    assert found, f"no example for {language}"
    return found[1]


@dataclass(frozen=True)
class Proxied:
    """A gateway behind a proxy, as its visitors see it."""

    port: int
    trusted: Path
    log: Path

    @property
    def host(self) -> str:
        return f"{_NAME}:{self.port}"

    @contextlib.contextmanager
    def asked(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> Iterator[http.client.HTTPResponse]:
        """Ask by TLS; the certificate has to be for the name."""
        with contextlib.closing(http.client.HTTPConnection(_NAME, self.port)) as connection:
            connection.sock = self.connected()
            data = None if body is None else json.dumps(body)
            connection.request(method, path, data, {"Host": self.host} | (BEARER if headers is None else headers))
            yield connection.getresponse()

    def connected(self) -> ssl.SSLSocket:
        raw = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        return ssl.create_default_context(cafile=str(self.trusted)).wrap_socket(raw, server_hostname=_NAME)


def _nginx(folder: Path, port: int, sock: Path, made: certificates.Made) -> list[str]:
    servers = _example("nginx")
    for old, new in (
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("/etc/ssl/ocg.example/fullchain.pem", str(made.certificate)),
        ("/etc/ssl/ocg.example/privkey.pem", str(made.key)),
        ("/run/ocg-web/gateway.sock", str(sock)),
    ):
        assert old in servers
        servers = servers.replace(old, new)
    file = folder / "nginx.conf"
    user = "root" if os.geteuid() == 0 else "nobody"
    file.write_text(_NGINX.format(folder=folder, servers=servers, user=user))
    return ["/usr/sbin/nginx", "-p", str(folder), "-c", str(file), "-e", "stderr"]


def _caddy(folder: Path, port: int, sock: Path, made: certificates.Made) -> list[str]:
    site = _example("caddy").replace("/run/ocg-web/gateway.sock", str(sock))
    head = f"{_NAME} {{"
    assert head in site
    site = site.replace(head, f"https://{_NAME}:{port} {{\n\tbind 127.0.0.1\n\ttls {made.certificate} {made.key}")
    file = folder / "Caddyfile"
    file.write_text("{\n\tadmin off\n\tauto_https disable_redirects\n}\n" + site)
    return ["caddy", "run", "--config", str(file), "--adapter", "caddyfile"]


_COMMANDS = {"nginx": _nginx, "caddy": _caddy}


@contextlib.contextmanager
def _run(command: list[str], folder: Path, port: int) -> Iterator[None]:
    """Run a proxy until it is done with."""
    log = folder / "proxy.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command, stdout=stream, stderr=stream, stdin=subprocess.DEVNULL, env=os.environ | {"HOME": str(folder)}
        )
    try:
        deadline = time.monotonic() + 20
        while not _listens(port):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(10)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def _proxied(kind: str, folder: Path, port: int, **more: str) -> Iterator[Proxied]:
    sock, made = folder / "gateway.sock", certificates.make(folder, _NAME)
    env = environment(folder, 0, OCG_HOST=str(sock), OCG_ALLOWED_HOSTS=_NAME, **more)
    with (
        agent(folder, env),
        running(folder, "ocg.gateway", env) as gateway,
        _run(_COMMANDS[kind](folder, port, sock, made), folder, port),
    ):
        yield Proxied(port, made.certificate, gateway.log_file)


@pytest.fixture(params=["nginx", "caddy"])
def proxied(request: pytest.FixtureRequest, tmp_path: Path, free_port: int) -> Iterator[Proxied]:
    """Each proxy of the documentation."""
    with _proxied(request.param, tmp_path, free_port, OCG_TRUSTED_PROXIES="unix") as found:
        yield found


def test_the_page_a_login_a_stream_and_a_socket_come_through(proxied: Proxied) -> None:
    with proxied.asked("GET", "/", headers={}) as page:
        assert page.status == 200
        assert "frame-ancestors 'none'" in (page.headers["content-security-policy"] or "")
    with proxied.asked("POST", "/login", {"token": TOKEN}, {"Origin": f"https://{proxied.host}"}) as login:
        assert login.status == 204
        assert "Secure" in (login.headers["set-cookie"] or "")
    _stream_comes_as_it_is_made(proxied)
    _socket_talks(proxied)
    with proxied.asked("GET", "/v1/sessions", headers={"Authorization": "Bearer wrong"}) as refused:
        assert refused.status == 401
    assert "from 127.0.0.1" in proxied.log.read_text()  # whom the proxy saw


def _stream_comes_as_it_is_made(proxied: Proxied) -> None:
    """The first turn ends only once the second has begun, which begins once the first has been heard of."""
    with proxied.asked("POST", "/v1/turns", {"message": "waits for 2"}) as first:
        while b"Hello, " not in first.readline():
            pass
        with proxied.asked("POST", "/v1/turns", {"message": "waits for 2"}) as second:
            assert b"turn.completed" in second.read()
        assert b"turn.completed" in first.read()


def _socket_talks(proxied: Proxied) -> None:
    url, origin = f"wss://{proxied.host}/ws/chat", Origin(f"https://{proxied.host}")
    context = ssl.create_default_context(cafile=str(proxied.trusted))
    raw = socket.create_connection(("127.0.0.1", proxied.port), timeout=10)
    with connect(url, sock=raw, ssl=context, server_hostname=_NAME, origin=origin, additional_headers=BEARER) as chat:
        chat.send(json.dumps({"type": "turn", "message": "hello"}))
        assert json.loads(chat.recv(timeout=10))["type"] == "turn.started"


def test_another_page_or_name_gets_no_further_than_without_a_proxy(proxied: Proxied) -> None:
    with proxied.asked("GET", "/v1/sessions", headers=BEARER | {"Origin": "https://evil.example"}) as answer:
        assert answer.status == 403
    with proxied.asked("GET", "/v1/sessions", headers=BEARER | {"Host": "evil.example"}) as answer:
        assert answer.read() == b"" or answer.status in {403, 421}


@pytest.mark.parametrize("kind", ["nginx", "caddy"])
def test_a_proxy_that_is_not_trusted_decides_nothing(kind: str, tmp_path: Path, free_port: int) -> None:
    with (
        _proxied(kind, tmp_path, free_port) as proxied,
        proxied.asked("POST", "/login", {"token": TOKEN}, {}) as login,
    ):
        assert login.status == 204
        assert "Secure" not in (login.headers["set-cookie"] or "")
