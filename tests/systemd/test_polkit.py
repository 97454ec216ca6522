"""Who may: members of group ocg start, stop and restart exactly our units; others hear what to do."""

from collections.abc import Iterator

import pytest

from tests.systemd.box import Box


@pytest.fixture
def users(box: Box) -> Iterator[None]:
    """Alice is a member of the group, Bob is not."""
    box.script("useradd -m -G ocg alice; useradd -m bob; systemctl start polkit")
    yield
    box.script("userdel -r alice; userdel -r bob", check=False)


def test_a_member_of_the_group_may(box: Box, users: None) -> None:
    assert "✓ ocg-gateway" in box.run("ocg", "start", user="alice").stdout
    assert box.run("ocg", "status", user="alice").stdout.endswith("Health: ok\n")
    assert "✓ ocg-gateway" in box.run("ocg", "restart", user="alice").stdout
    assert "■ ocg-embedding" in box.run("ocg", "stop", user="alice").stdout


def test_a_member_may_do_no_more_than_that(box: Box, users: None) -> None:
    box.run("ocg", "start")
    for command in (
        ("restart", "systemd-journald.service"),
        ("set-property", "ocg-agent.service", "MemoryMax=1G"),
        ("enable", "ocg-agent.service"),
        ("mask", "ocg-agent.service"),
        ("daemon-reload",),
    ):
        refused = box.run("systemctl", "--no-ask-password", *command, user="alice", check=False)
        assert refused.returncode != 0, command
    transient = box.run("systemd-run", "--no-ask-password", "--unit=ocg-extra", "true", user="alice", check=False)
    assert transient.returncode != 0


def test_somebody_else_may_look_and_hears_what_to_do(box: Box, users: None) -> None:
    refused = box.run("ocg", "start", user="bob", check=False)
    assert refused.returncode == 1
    assert "you may not restart ocg.target: polkit says no" in refused.stderr
    assert "usermod -aG ocg" in refused.stderr
    box.run("ocg", "start")
    assert box.run("ocg", "status", user="bob").stdout.endswith("Health: ok\n")
    assert "polkit says no" in box.run("ocg", "stop", user="bob", check=False).stderr
    assert box.run("ocg", "status").stdout.endswith("Health: ok\n")


def test_the_agents_socket_is_the_groups(box: Box, users: None) -> None:
    box.run("ocg", "start")
    ask = ("curl", "-s", "--unix-socket", "/run/ocg/agent.sock", "http://agent/health")
    assert box.run(*ask, user="alice").stdout
    assert box.run(*ask, user="bob", check=False).returncode == 7
