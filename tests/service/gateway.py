"""A running gateway for tests, what stands behind it, and raw ways to talk to it."""

import contextlib
import http.client
import json
import os
import signal
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

from ocg.protocol.clients import AgentClient
from tests.agent_double import Seen
from tests.processes import Process, running

TOKEN = "a-token-for-tests"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
AGENT = "tests.agent_double"


@dataclass(frozen=True)
class Reply:
    """An answer, read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> Any:
        return self.json["error"]


@dataclass(frozen=True)
class Gateway:
    """Where it is, and the process."""

    process: Process
    port: int
    agent_sock: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return self.process.log

    def ask(
        self, method: str, path: str, body: Any = None, *, headers: Mapping[str, str] | None = None, host: str = ""
    ) -> Reply:
        """Ask with the right token, unless other headers are given; `host` replaces the Host header."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        sent = dict(BEARER if headers is None else headers)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, data, {"Host": host} | sent if host else sent)
            response = connection.getresponse()
            # HTTPMessage takes names in any case, as a dict does not.
            return Reply(response.status, response.headers, response.read())  # type: ignore[arg-type]
        finally:
            connection.close()

    @contextlib.contextmanager
    def socket(self, headers: Mapping[str, str] | None = None, **options: Any) -> Iterator[ClientConnection]:
        """Open a WebSocket, with the right token unless other headers are given."""
        sent = dict(BEARER if headers is None else headers)
        url = f"ws://127.0.0.1:{self.port}/ws/chat"
        with connect(
            url, additional_headers=sent, compression=None, close_timeout=1, ping_interval=None, **options
        ) as socket:
            yield socket

    def reload(self, said: str) -> None:
        """Have it read its configuration again, and wait until it says so."""
        self.process.notifications.clear()
        self.process.popen.send_signal(signal.SIGHUP)
        self.process.wait_for(said)
        kinds = [one.partition("\n")[0] for one in self.process.notifications]
        assert kinds[0] == "RELOADING=1"
        assert "MONOTONIC_USEC=" in self.process.notifications[0]
        assert kinds[-1] == "READY=1"

    async def seen(self, *, turns: int = 0, cancelled: int = 0) -> Seen:
        """Ask the agent's double what it was asked, once it was that much."""
        async with AgentClient(self.agent_sock) as client:
            return await client.call("GET", f"/seen?turns={turns}&cancelled={cancelled}", Seen)


def unused_port() -> int:
    """Return a TCP port that was free a moment ago, for services that a module shares."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(folder: Path, port: int, **more: str) -> dict[str, str]:
    """Everything of these services in one folder."""
    folder.mkdir(exist_ok=True)
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "OCG_DATA_DIR": str(folder / "data"),
        "OCG_PID_DIR": str(folder / "pids"),
        "OCG_AGENT_SOCK": str(folder / "agent.sock"),
        "OCG_PORT": str(port),
        "OCG_UI_TOKEN": TOKEN,
        "OCG_LOG_LEVEL": "debug",
        "PYTHONPATH": str(Path(__file__).parent.parent.parent),
    } | more


def configured(folder: Path, *lines: str) -> None:
    """Write the env.config that CONFIGURATION_DIRECTORY leads to."""
    (folder / "env.config").write_text("".join(f"{line}\n" for line in lines))


@contextlib.contextmanager
def serving(folder: Path, env: Mapping[str, str]) -> Iterator[Gateway]:
    """Run the gateway alone."""
    with running(folder, "ocg.gateway", env) as process:
        yield Gateway(process, int(env["OCG_PORT"]), Path(env["OCG_AGENT_SOCK"]))


@contextlib.contextmanager
def agent(folder: Path, env: Mapping[str, str]) -> Iterator[Process]:
    """Run the agent's double."""
    with running(folder, AGENT, env) as process:
        yield process
