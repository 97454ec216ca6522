"""One owner of each process: no restart loop, no orphan, no second gateway, no port left behind.

Each of these is a complaint that users of comparable agents have (restart loops on a taken port, children that outlive
their service and keep its port, two gateways on one configuration that both answer, a stop that is never over).
"""

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.systemd.box import CHECKOUT, Box
from tests.systemd.conftest import configure, drop_in

_PORT = 55003


@contextmanager
def _taken(box: Box, port: int) -> Iterator[None]:
    """Have another program listen on a port."""
    code = f"import socket, sys; s = socket.create_server(('127.0.0.1', {port})); print('taken', flush=True)"
    code += "; sys.stdin.read()"
    process = box.start_fed(f"{CHECKOUT}/.venv/bin/python", "-c", code)
    assert process.stdout is not None
    assert process.stdout.readline() == "taken\n"
    try:
        yield
    finally:
        process.communicate()


@pytest.mark.says("in use by another program", "Failed to start ocg-gateway", "gave up")
def test_a_taken_port_is_named_once_and_not_tried_again(box: Box) -> None:
    with _taken(box, _PORT):
        failed = box.run("ocg", "start", check=False)
    assert f"port {_PORT} on 127.0.0.1 is in use by another program" in failed.stderr
    assert box.show("ocg-gateway", "NRestarts") == {"NRestarts": "0"}
    box.run("ocg", "start")


# Where systemd filters addresses, a child of its own makes the sockets, and it has nothing to receive.
@pytest.mark.says("Failed to (create|receive) listening socket", "Failed to (listen|start ocg)", "Dependency failed")
def test_a_taken_port_of_embedding_is_told_with_the_way_out(box: Box) -> None:
    with _taken(box, 50000):
        failed = box.run("ocg", "start", check=False)
        assert failed.returncode != 0
        assert "50000" in failed.stderr, failed.stderr
        box.run("ocg", "service", "install")  # which finds another
        assert "http://127.0.0.1:50001" in box.run("ocg", "start").stdout
        box.run("ocg", "stop")
    box.run("rm", "-r", "/etc/systemd/system/ocg-embedding.socket.d")
    box.run("systemctl", "daemon-reload")


def test_a_child_that_is_left_goes_with_its_service(box: Box) -> None:
    left = "/bin/sh -c 'sleep 600 & echo $$! > /run/ocg/child'"
    drop_in(box, "ocg-agent.service", f"ExecStartPost={left}")
    # In a container on a hybrid hierarchy systemd 252 may fail to read a control group while its main process dies
    # (EIO, "ignoring"), and leaves the child: so it has three goes, of which a unit that spares children has none.
    for _ in range(3):
        box.run("ocg", "start")
        child = box.run("cat", "/run/ocg/child").stdout.strip()
        assert "ocg-agent.service" in box.run("cat", f"/proc/{child}/cgroup").stdout
        box.run("systemctl", "stop", "ocg-agent")
        if box.run("kill", "-0", child, check=False).returncode != 0:
            break
        box.run("kill", "-KILL", child)
    else:
        raise AssertionError("the child outlived its service three times")
    box.run("rm", "/run/ocg/child")


def test_a_second_gateway_on_the_same_files_is_refused(box: Box) -> None:
    box.run("ocg", "start")
    first = box.pid("ocg-gateway")
    environ = ("CONFIGURATION_DIRECTORY=/etc/ocg", "RUNTIME_DIRECTORY=/run/ocg")
    second = box.run("runuser", "-u", "ocg", "--", "env", *environ, f"{CHECKOUT}/bin/ocg-gateway", check=False)
    assert second.returncode == 78
    assert f"ocg-gateway runs already (PID {first})" in second.stderr
    direct = box.run("ocg", "start", "--manager", "direct", check=False)
    assert direct.returncode == 78
    assert box.run("ocg", "status").stdout.endswith("Health: ok\n")
    assert box.pid("ocg-gateway") == first


def test_a_new_port_is_taken_at_the_restart_and_the_old_one_is_left(box: Box) -> None:
    box.run("ocg", "start")
    configure(box, "OCG_PORT=15020")
    assert "http://127.0.0.1:15020" in box.run("ocg", "restart").stdout
    listening = box.run("ss", "-Hltn").stdout
    assert ":15020" in listening
    assert f":{_PORT}" not in listening


def test_a_stop_leaves_no_socket_behind(box: Box) -> None:
    box.run("ocg", "start")
    box.run("systemctl", "restart", "ocg-gateway")
    box.run("ocg", "stop")
    listening = box.run("ss", "-Hltnx").stdout
    assert f":{_PORT}" not in listening
    assert ":50000" not in listening
    assert "/run/ocg/agent.sock" not in listening


def test_a_turn_that_a_restart_cuts_off_is_done_once(box: Box, model: str) -> None:
    """The model is slow enough that a kill hits the turn in its middle."""
    box.run("ocg", "start")
    body = json.dumps({"message": "word " * 60, "message_id": "the-one"})
    ask = ("curl", "-sN", "--unix-socket", "/run/ocg/agent.sock", "-d", body, "http://agent/v1/turns")
    asking = box.start(*ask)
    assert asking.stdout is not None
    line = asking.stdout.readline()
    while "text.delta" not in line:
        line = asking.stdout.readline()
    box.run("systemctl", "kill", "--kill-whom=main", "-s", signal.SIGKILL.name, "ocg-agent")
    asking.communicate(timeout=20)
    again = box.run(*ask).stdout
    events = [json.loads(line[6:]) for line in again.splitlines() if line.startswith("data: ")]
    assert events[-1]["type"] == "turn.completed"
    session = events[0]["session_id"]
    transcript = ("curl", "-s", "--unix-socket", "/run/ocg/agent.sock", f"http://agent/v1/sessions/{session}")
    roles = [one["role"] for one in json.loads(box.run(*transcript).stdout)["messages"]]
    assert roles == ["user", "assistant"]
