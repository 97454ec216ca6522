"""A user's own manager, with lingering, for somebody who is not root: two commands, and it stays."""

import json
from collections.abc import Iterator

import pytest

from tests.systemd.box import CHECKOUT, Box

_SERVICES = ("ocg-embedding", "ocg-agent", "ocg-gateway")


@pytest.fixture
def alice(box: Box) -> Iterator[str]:
    """An ordinary user with the models at hand, who is not logged in."""
    box.script(
        """
        useradd -m alice; systemctl start polkit
        install -d -o alice -g alice /home/alice/.ocg
        cp -r /var/lib/ocg/models /home/alice/.ocg/models; chown -R alice:alice /home/alice/.ocg
        loginctl enable-linger alice
        """
    )
    box.wait_until(f"test -S /run/user/{box.uid('alice')}/bus")
    yield "alice"
    box.script("ocg stop; loginctl disable-linger alice; loginctl terminate-user alice", check=False)
    box.wait_until("! pgrep -u alice")
    box.run("userdel", "-r", "alice", check=False)


def test_install_start_status_stop(box: Box, alice: str) -> None:
    installed = box.run("ocg", "service", "install", "--user", user=alice).stdout
    assert "enabled ocg.target" in installed
    begun = box.run("ocg", "start", user=alice).stdout
    assert [line.split()[1] for line in begun.splitlines() if line.startswith("✓")] == list(_SERVICES)
    uid = box.uid(alice)
    status = box.run("ocg", "status", "--json", user=alice).stdout
    pids = [one["pid"] for one in json.loads(status)["services"].values()]
    assert all(box.run("stat", "-c%U", f"/proc/{pid}").stdout.strip() == alice for pid in pids)
    assert f"user@{uid}.service" in box.run("cat", f"/proc/{pids[0]}/cgroup").stdout
    answer = box.run(
        "curl", "-s", "--unix-socket", f"/run/user/{uid}/ocg/agent.sock", "http://agent/health", user=alice
    )
    assert json.loads(answer.stdout)["status"] == "ok"
    assert "ocg-gateway" in box.run("ocg", "restart", user=alice).stdout
    assert box.run("test", "-e", "/home/alice/.ocg/agent.db", check=False).returncode == 0, "data stays where it was"
    ended = box.run("ocg", "stop", user=alice).stdout
    assert [line.split()[1] for line in ended.splitlines()] == list(reversed(_SERVICES))


def test_it_comes_up_without_a_login(box: Box, alice: str) -> None:
    box.run("ocg", "service", "install", "--user", user=alice)
    uid = box.uid(alice)
    box.run("systemctl", "restart", f"user@{uid}.service")
    box.wait_until(f"test -S /run/user/{uid}/bus")
    box.wait_until(f"runuser -u alice -- env XDG_RUNTIME_DIR=/run/user/{uid} {CHECKOUT}/bin/ocg status")


def test_a_crash_heals_and_a_process_that_stands_still_can_be_stopped(box: Box, alice: str) -> None:
    box.run("ocg", "service", "install", "--user", user=alice)
    box.run("ocg", "start", user=alice)
    before = json.loads(box.run("ocg", "status", "--json", user=alice).stdout)["services"]["ocg-agent"]["pid"]
    box.run("kill", "-KILL", str(before))
    box.wait_until(
        f"runuser -u alice -- env XDG_RUNTIME_DIR=/run/user/{box.uid(alice)} {CHECKOUT}/bin/ocg status"
        f" | grep -v 'PID {before})' | grep -q 'Agent: running'"
    )
    after = json.loads(box.run("ocg", "status", "--json", user=alice).stdout)["services"]["ocg-agent"]["pid"]
    box.run("kill", "-STOP", str(after))  # systemd sends SIGCONT along with SIGTERM
    assert "■ ocg-agent" in box.run("ocg", "stop", user=alice).stdout


def test_uninstall_removes_what_install_wrote(box: Box, alice: str) -> None:
    box.run("ocg", "service", "install", "--user", user=alice)
    box.run("ocg", "start", user=alice)
    box.run("ocg", "service", "uninstall", "--user", user=alice)
    left = box.run("find", "/home/alice/.config/systemd", "-name", "ocg*", user=alice, check=False).stdout
    assert left == ""
    assert box.run("pgrep", "-u", alice, "-f", "ocg-", check=False).returncode == 1
    assert box.run("test", "-d", "/home/alice/.ocg", user=alice).returncode == 0
