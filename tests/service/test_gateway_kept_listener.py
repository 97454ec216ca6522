"""The gateway's listener outlives its restart: it is given to the manager, and taken back where it still fits."""

import array
import os
import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.asking import ask
from tests.processes import running
from tests.service.gateway import environment


class _Manager:
    """The end of $NOTIFY_SOCKET that keeps descriptors, as systemd does."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "notify"
        self.said: list[str] = []
        self.kept: list[socket.socket] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self.path))

    def wait_for(self, text: str) -> None:
        while not any(text in one for one in self.said):
            readable, _, _ = select.select([self._socket], [], [], 20)
            assert readable, f"{text} was not said: {self.said}"
            data, ancillary, _, _ = self._socket.recvmsg(4096, socket.CMSG_SPACE(16))
            self.said.append(data.decode())
            for _, _, raw in ancillary:
                self.kept += [socket.socket(fileno=one) for one in array.array("i", raw)]

    def close(self) -> None:
        self._socket.close()
        for one in self.kept:
            one.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[_Manager]:
    with closing(_Manager(tmp_path)) as found:
        yield found


@contextmanager
def _gateway(env: dict[str, str], manager: _Manager, *inherited: socket.socket) -> Iterator[None]:
    """Run the gateway with descriptors from 3 on, as a manager hands them over."""
    manager.said.clear()
    script = 'LISTEN_PID=$$ exec "$@"'
    command = ["/bin/sh", "-c", script, "sh", sys.executable, "-m", "ocg.gateway"]
    actions = [(os.POSIX_SPAWN_DUP2, one.fileno(), number) for number, one in enumerate(inherited, 3)]
    given = {"LISTEN_FDS": str(len(inherited)), "LISTEN_FDNAMES": "http"} if inherited else {}
    pid = os.posix_spawn(command[0], command, env | given | {"NOTIFY_SOCKET": str(manager.path)}, file_actions=actions)
    try:
        manager.wait_for("READY=1")
        yield
    finally:
        subprocess.run(["kill", str(pid)], check=True)
        os.waitpid(pid, 0)


def _connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def test_who_connects_while_the_gateway_is_down_is_answered_by_the_next(
    tmp_path: Path, free_port: int, manager: _Manager
) -> None:
    env = environment(tmp_path / "files", free_port)
    with _gateway(env, manager):
        assert len(manager.kept) == 1
        assert "FDSTORE=1\nFDNAME=http" in manager.said
    with _connect(free_port) as early:
        early.sendall(b"GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n")
        with _gateway(env, manager, *manager.kept):
            assert early.recv(4096).startswith(b"HTTP/1.1 503")  # its agent is missing; the gateway is not
            assert len(manager.kept) == 1, "what it was given it does not give again"


def test_a_listener_on_a_port_that_is_no_longer_wanted_is_let_go(
    tmp_path: Path, free_port: int, manager: _Manager
) -> None:
    env = environment(tmp_path / "files", free_port)
    with socket.create_server(("127.0.0.1", 0)) as old, _gateway(env, manager, old):
        assert "FDSTOREREMOVE=1\nFDNAME=http" in manager.said
        assert ask(f"http://127.0.0.1:{free_port}/health")[0] == 503
        assert manager.kept[0].getsockname()[1] == free_port


def test_a_port_that_an_outgoing_connection_has_for_the_moment_is_waited_for(tmp_path: Path, free_port: int) -> None:
    env = environment(tmp_path / "files", free_port)
    with socket.create_server(("127.0.0.1", 0)) as somebody, socket.socket() as outgoing:
        outgoing.bind(("127.0.0.1", free_port))
        outgoing.connect(somebody.getsockname())
        with running(tmp_path, "ocg.gateway", env, ready=False) as process:
            process.wait_for("STATUS=Opening the port")
            outgoing.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # closed by a reset
            outgoing.close()
            process.wait_ready()


def test_a_name_without_an_address_is_an_error_of_the_setting(tmp_path: Path, free_port: int) -> None:
    env = environment(tmp_path, free_port, OCG_HOST="nosuch.invalid", LISTEN_FDS="0")
    with running(tmp_path, "ocg.gateway", env, ready=False) as process:
        assert process.wait() == 78
        assert "cannot listen on nosuch.invalid" in process.log
