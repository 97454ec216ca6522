"""`ocg token` and `ocg ratelimit` over a running gateway, and what they tell whoever listens in its place: nothing."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ocg.protocol import login
from tests.service.gateway import BEARER, TOKEN, Gateway, agent, environment, serving

Done = subprocess.CompletedProcess[str]
ASKED = {"model": "ocg", "messages": [{"role": "user", "content": "hello"}]}


class Cli:
    """The command line against one gateway."""

    def __init__(self, env: dict[str, str]) -> None:
        self._env = env

    def __call__(self, command: str, action: str, *arguments: str, status: int = 0) -> Done:
        line = [sys.executable, "-m", "ocg.cli", command, "--manager", "direct", action, *arguments]
        done = subprocess.run(line, env=self._env, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == status, done.stderr
        return done


@pytest.fixture
def ocg(env: dict[str, str]) -> Cli:
    return Cli(env)


@pytest.fixture
def env(tmp_path: Path, free_port: int) -> dict[str, str]:
    """Everything in a folder of the test's own."""
    return environment(tmp_path, free_port)


@pytest.fixture
def gateway(tmp_path: Path, env: dict[str, str]) -> Iterator[Gateway]:
    """A gateway, and an agent's double behind it."""
    with agent(tmp_path, env), serving(tmp_path, env) as found:
        yield found


def test_a_token_is_printed_alone_works_is_listed_and_ends(ocg: Cli, gateway: Gateway) -> None:
    made = ocg("token", "create", "laptop", "--scope", "chat, read", "--expires", "30")
    secret = made.stdout.strip()
    assert secret.startswith("ocg_")
    assert "shown this once" in made.stderr
    headers = {"Authorization": f"Bearer {secret}"}
    assert gateway.ask("GET", "/v1/sessions", headers=headers).status == 200
    assert gateway.ask("GET", "/v1/tokens", headers=headers).status == 403
    (line,) = ocg("token", "list").stdout.splitlines()
    assert line.startswith("laptop  chat,read  ")
    assert ", used 2" in line
    assert ", expires 2" in line
    (item,) = map(json.loads, ocg("token", "list", "--json").stdout.splitlines())
    assert item["expires_at"] - item["created_at"] == 30 * 86400
    assert secret not in json.dumps(item)
    assert "there is a token 'laptop'" in ocg("token", "create", "laptop", status=1).stderr
    ocg("token", "revoke", "laptop")
    assert gateway.ask("GET", "/v1/sessions", headers=headers).status == 401
    assert ocg("token", "list").stdout == ""
    assert "no token 'laptop'" in ocg("token", "revoke", "laptop", status=1).stderr


def test_a_rate_limit_counts_at_once_and_is_lifted(ocg: Cli, gateway: Gateway) -> None:
    assert ocg("ratelimit", "set", "token:owner", "1/hour").stdout == "token:owner  1/h\n"
    ocg("ratelimit", "set", "sender:telegram:*", "1000/day")
    assert [gateway.ask("POST", "/v1/chat/completions", ASKED).status for _ in range(2)] == [200, 429]
    assert ocg("ratelimit", "list").stdout.splitlines() == ["sender:telegram:*  1000/day", "token:owner        1/h"]
    ocg("ratelimit", "rm", "token:owner")
    assert gateway.ask("POST", "/v1/chat/completions", ASKED).status == 200
    assert "no rate limit" in ocg("ratelimit", "rm", "token:owner", status=1).stderr
    assert json.loads(ocg("ratelimit", "list", "--json").stdout) == {"key": "sender:telegram:*", "rate": "1000/day"}


@pytest.mark.parametrize(
    ("line", "named"),
    [
        (("token", "create", "a.b"), "name"),
        (("token", "create", "a", "--scope", "root"), "root"),
        (("token", "create", "a", "--scope", ","), "scopes"),
        (("token", "create", "a", "--expires", "0"), "expires_days"),
        (("ratelimit", "set", "laptop", "1/s"), "key"),
        (("ratelimit", "set", "token:a", "often"), "such as 60/min"),
    ],
)
@pytest.mark.usefixtures("gateway")
def test_what_is_typed_wrongly_is_named(ocg: Cli, line: tuple[str, ...], named: str) -> None:
    assert named in ocg(*line, status=1).stderr


def test_without_a_gateway_it_says_so(ocg: Cli) -> None:
    assert "ocg-gateway cannot be reached" in ocg("token", "list", status=69).stderr


def test_without_a_token_to_be_read_it_says_who_may(ocg: Cli, env: dict[str, str]) -> None:
    del env["OCG_UI_TOKEN"]
    assert "not there to be read" in ocg("token", "list", status=1).stderr


def test_who_listens_in_the_gateways_place_gets_neither_the_token_nor_a_way_in(
    ocg: Cli, tmp_path: Path, env: dict[str, str]
) -> None:
    with socket.create_server(("127.0.0.1", int(env["OCG_PORT"]))) as stranger, ThreadPoolExecutor() as pool:
        asked = pool.submit(ocg, "token", "create", "laptop", status=1)
        connection, _ = stranger.accept()
        with connection:
            heard = connection.recv(65536)
            while b"}" not in heard:
                heard += connection.recv(65536)
            connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
        assert "another program" in asked.result().stderr
    assert TOKEN.encode() not in heard
    code = json.loads(heard.partition(b"\r\n\r\n")[2])["code"]
    with serving(tmp_path, env) as gateway:
        assert gateway.ask("POST", "/login", {"code": code}, headers={}).status == 401
        assert gateway.ask("GET", "/v1/tokens", headers=BEARER).status == 200
    assert login.COOKIE_NAME.encode() not in heard
