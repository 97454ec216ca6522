"""Where the gateway listens: beyond this machine only with a token that somebody chose, by TLS, on a Unix socket."""

import contextlib
import http.client
import os
import socket
import ssl
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from ocg.errors import EX_CONFIG
from tests import certificates
from tests.processes import Process, running
from tests.service.gateway import BEARER, agent, configured, environment, serving


@pytest.fixture
def env(tmp_path: Path, free_port: int) -> dict[str, str]:
    return environment(tmp_path, free_port)


def _refused(folder: Path, env: Mapping[str, str]) -> str:
    """Return the log of a gateway that does not start, for a reason that no restart mends."""
    with running(folder, "ocg.gateway", env, ready=False) as process:
        assert process.wait() == EX_CONFIG, process.log
        return process.log


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "0"])
def test_other_machines_are_let_in_only_by_a_token_that_somebody_chose(
    tmp_path: Path, env: dict[str, str], host: str
) -> None:
    chosen = env.pop("OCG_UI_TOKEN")
    for _ in range(2):  # also with a token that OCG made at an earlier start
        log = _refused(tmp_path, env | {"OCG_HOST": host})
        assert "no token was chosen" in log
        assert "OCG_UI_TOKEN" in log
        with serving(tmp_path, env):
            assert Path(env["OCG_DATA_DIR"], "token").exists()
    with serving(tmp_path, env | {"OCG_HOST": host, "OCG_UI_TOKEN": chosen}) as gateway:
        assert gateway.ask("GET", "/nothing").status == 404  # let in
    with serving(tmp_path, env | {"OCG_UI_TOKEN": chosen}) as gateway:
        assert gateway.ask("POST", "/v1/tokens", {"name": "laptop", "scopes": ["chat"]}).status == 200
    with running(tmp_path, "ocg.gateway", env | {"OCG_HOST": host}):
        pass  # a token made by `ocg token create` is chosen, too


def test_a_reload_cannot_take_the_chosen_token_away_from_an_open_address(tmp_path: Path, env: dict[str, str]) -> None:
    del env["OCG_UI_TOKEN"]
    env |= {"CONFIGURATION_DIRECTORY": str(tmp_path), "OCG_HOST": "0.0.0.0"}
    configured(tmp_path, "OCG_UI_TOKEN=a-token-for-tests")
    with serving(tmp_path, env) as gateway:
        configured(tmp_path)
        gateway.reload("could not be reloaded: OCG_HOST=0.0.0.0 opens")
        assert gateway.ask("GET", "/nothing").status == 404


def _by_tls(port: int, trusted: Path, path: str) -> tuple[int, Mapping[str, str], str]:
    """Ask as a browser would that trusts the certificate: its name and its dates count."""
    context = ssl.create_default_context(cafile=str(trusted))
    with contextlib.closing(http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=context)) as connection:
        connection.request("GET", path, headers=BEARER | {"Host": "nas.lan"})
        response = connection.getresponse()
        response.read()
        return response.status, dict(response.headers), ssl.get_server_certificate(("127.0.0.1", port)).strip()


def test_tls_is_spoken_with_the_certificate_and_a_reload_takes_a_renewed_one(
    tmp_path: Path, env: dict[str, str]
) -> None:
    made = certificates.make(tmp_path)
    with agent(tmp_path, env), serving(tmp_path, env | made.env | {"OCG_ALLOWED_HOSTS": "nas.lan"}) as gateway:
        status, headers, shown = _by_tls(gateway.port, made.certificate, "/v1/sessions")
        assert (status, shown) == (200, made.certificate.read_text().strip())
        assert headers["strict-transport-security"].startswith("max-age=")
        with _wss(gateway.port, made.certificate) as old:
            certificates.make(tmp_path)
            gateway.reload("READY=1")
            assert _by_tls(gateway.port, made.certificate, "/v1/sessions")[2] == made.certificate.read_text().strip()
            assert made.certificate.read_text().strip() != shown
            made.key.write_text("nonsense")
            gateway.reload("could not be reloaded: OCG_TLS")
            assert _by_tls(gateway.port, made.certificate, "/v1/sessions")[0] == 200
            old.sendall(b"\x81\x82\0\0\0\0{}")  # a masked text frame: nobody was cut off
            assert b"invalid_request" in old.recv(4096)


def test_to_begin_with_tls_takes_a_restart(tmp_path: Path, env: dict[str, str]) -> None:
    env |= {"CONFIGURATION_DIRECTORY": str(tmp_path)}
    with serving(tmp_path, env) as gateway:
        configured(tmp_path, *(f"{key}={value}" for key, value in certificates.make(tmp_path).env.items()))
        gateway.reload("a restart is needed for OCG_TLS_CERT, OCG_TLS_KEY")
        assert gateway.ask("GET", "/nothing").status == 404


@contextlib.contextmanager
def _wss(port: int, trusted: Path) -> Iterator[ssl.SSLSocket]:
    context = ssl.create_default_context(cafile=str(trusted))
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as raw,
        context.wrap_socket(raw, server_hostname="nas.lan") as found,
    ):
        found.sendall(
            b"GET /ws/chat HTTP/1.1\r\nHost: nas.lan\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
            b"Authorization: " + BEARER["Authorization"].encode() + b"\r\n\r\n"
        )
        assert found.recv(4096).startswith(b"HTTP/1.1 101 ")
        yield found


def test_a_browser_is_bound_to_tls_by_a_name_of_ones_own_and_never_by_localhost(
    tmp_path: Path, env: dict[str, str]
) -> None:
    made = certificates.make(tmp_path, "localhost")
    context = ssl.create_default_context(cafile=str(made.certificate))
    with serving(tmp_path, env | made.env):
        connection = http.client.HTTPSConnection("localhost", int(env["OCG_PORT"]), timeout=10, context=context)
        with contextlib.closing(connection):
            connection.request("GET", "/")
            assert "strict-transport-security" not in connection.getresponse().headers


def test_what_speaks_plain_http_to_tls_is_hung_up_on(tmp_path: Path, env: dict[str, str]) -> None:
    with serving(tmp_path, env | certificates.make(tmp_path).env) as gateway:
        with pytest.raises((http.client.HTTPException, OSError)):
            gateway.ask("GET", "/health")
        assert "Traceback" not in gateway.log


def test_a_key_of_another_certificate_is_a_mistake_at_the_start(tmp_path: Path, env: dict[str, str]) -> None:
    (tmp_path / "other").mkdir()
    made, other = certificates.make(tmp_path), certificates.make(tmp_path / "other")
    assert "is not the key of" in _refused(tmp_path, env | made.env | {"OCG_TLS_KEY": str(other.key)})


def _ocg(env: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ocg.cli", *arguments],
        env=dict(env) | {"OCG_MANAGER": "direct"},
        cwd=env["HOME"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("days", [365, -1])
def test_status_and_open_find_it_behind_tls_whatever_the_certificate_is(
    tmp_path: Path, env: dict[str, str], days: int
) -> None:
    env |= certificates.make(tmp_path, days=days).env | {"OCG_ALLOWED_HOSTS": "nas.lan"}
    with agent(tmp_path, env), serving(tmp_path, env):
        said = _ocg(env, "status")
        assert "Health: ocg-embedding down" in said.stdout, said.stderr
        assert _ocg(env, "open").stdout.startswith(f"https://nas.lan:{env['OCG_PORT']}/#login=")
        assert _ocg(env, "token", "create", "laptop").returncode == 0


def _by_unix(path: Path, request: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as raw:
        raw.settimeout(10)
        raw.connect(str(path))
        raw.sendall(request)
        answer = b""
        while chunk := raw.recv(65536):
            answer += chunk
        return answer


def test_on_a_unix_socket_its_group_may_connect_and_ocg_finds_it(tmp_path: Path, env: dict[str, str]) -> None:
    path = tmp_path / "web" / "gateway.sock"
    path.parent.mkdir()
    os.chown(path.parent, -1, 12345)
    path.parent.chmod(0o2750)  # a socket made in it has its group
    env |= {"OCG_HOST": str(path), "OCG_ALLOWED_HOSTS": "ocg.example"}
    with agent(tmp_path, env), running(tmp_path, "ocg.gateway", env) as gateway:
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        assert path.stat().st_gid == 12345
        assert f"STATUS=Serving at {path}" in "".join(gateway.notifications)
        request = b"GET /v1/sessions HTTP/1.1\r\nHost: ocg.example\r\nConnection: close\r\n"
        assert b" 401 " in _by_unix(path, request + b"\r\n")
        bearer = f"Authorization: {BEARER['Authorization']}\r\n\r\n".encode()
        assert b" 200 " in _by_unix(path, request + bearer)
        assert "Health: ocg-embedding down" in _ocg(env, "status").stdout
        assert _ocg(env, "open").stdout.startswith("https://ocg.example/#login=")
        assert _ocg(env, "token", "create", "laptop").returncode == 0
        named = _ocg({key: value for key, value in env.items() if key != "OCG_ALLOWED_HOSTS"}, "open").stdout
        assert named.startswith(f"(the address of the proxy before {path})/#login=")
        _second(tmp_path, env, gateway)
    with running(tmp_path, "ocg.gateway", env):  # what the first one left behind is no obstacle
        assert b" 401 " in _by_unix(path, request + b"\r\n")


def _second(folder: Path, env: Mapping[str, str], first: Process) -> None:
    """Another gateway at the same socket gives way to the first."""
    other = folder / "other"
    other.mkdir()
    assert "another ocg-gateway answers on" in _refused(other, dict(env) | {"OCG_PID_DIR": str(other)})
    assert first.popen.poll() is None
