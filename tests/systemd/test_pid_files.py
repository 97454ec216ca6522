"""PID files follow systemd in every case, and are never believed over it."""

from tests.systemd.box import Box
from tests.systemd.conftest import misbehave

_SERVICES = ("ocg-embedding", "ocg-agent", "ocg-gateway")


def _files(box: Box) -> dict[str, str]:
    """Return what lies at the contract's path."""
    text = box.run("bash", "-c", "cd /tmp/ocg/ && grep -H '' *.pid", check=False).stdout
    return dict(line.replace(".pid", "").split(":") for line in text.splitlines())


def _running(box: Box) -> dict[str, str]:
    return {service: str(box.pid(service)) for service in _SERVICES}


def test_they_are_right_after_each_way_to_start(box: Box) -> None:
    box.run("systemctl", "start", "ocg-gateway")
    assert _files(box) == _running(box)
    box.run("systemctl", "restart", "ocg-agent")
    assert _files(box) == _running(box)
    box.run("ocg", "restart")
    assert _files(box) == _running(box)


def test_they_are_right_after_an_automatic_restart(box: Box) -> None:
    box.run("ocg", "start")
    for service in _SERVICES:
        box.run("systemctl", "kill", "--kill-whom=main", "-s", "KILL", service)
        box.wait_until(f"test $(systemctl show -P NRestarts {service}) = 1 && systemctl is-active -q {service}")
    assert _files(box) == _running(box)


def test_none_is_left_after_a_stop(box: Box) -> None:
    box.run("ocg", "start")
    box.run("ocg", "stop")
    assert _files(box) == {}


def test_none_is_left_after_a_stop_by_sigkill(box: Box) -> None:
    misbehave(box, "ocg-agent", "ignores-both")
    box.run("ocg", "start")
    box.run("ocg", "stop")
    assert _files(box) == {}


def test_a_lie_in_a_pid_file_is_not_believed(box: Box) -> None:
    box.run("ocg", "start")
    agent = box.pid("ocg-agent")
    box.run("bash", "-c", "echo 1 > /run/ocg/ocg-agent.pid")
    assert f"Agent: running (PID {agent})" in box.run("ocg", "status").stdout
    box.run("ocg", "stop")
    box.run("bash", "-c", "echo $$ > /run/ocg/ocg-agent.pid; chown ocg /run/ocg/ocg-agent.pid")
    assert "Agent: stopped" in box.run("ocg", "status", check=False).stdout
    box.run("ocg", "start")
    assert _files(box) == _running(box)
