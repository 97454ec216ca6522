"""`ocg` under the system's systemd: jobs and their progress, the ladder, and each refusal with its remedy."""

import json
import re
import time

import pytest

from tests.systemd.box import Box
from tests.systemd.conftest import GAVE_UP, configure, drop_in, inside, misbehave

_SERVICES = ("ocg-embedding", "ocg-agent", "ocg-gateway")
_SOCKETS = ("ocg-agent.socket", "ocg-embedding.socket")


def _active(box: Box, *units: str) -> set[str]:
    states = box.run("systemctl", "is-active", *units, check=False).stdout.split()
    return {unit for unit, state in zip(units, states, strict=True) if state == "active"}


def test_start_status_restart_and_stop(box: Box) -> None:
    begun = box.run("ocg", "start").stdout
    assert [line.split()[1] for line in begun.splitlines() if line.startswith("✓")] == list(_SERVICES)
    assert "http://127.0.0.1:55003/#login=" in begun
    pids = {service: box.pid(service) for service in _SERVICES}
    assert box.run("ocg", "status").stdout.splitlines() == [
        *(f"{one.removeprefix('ocg-').capitalize()}: running (PID {pid})" for one, pid in pids.items()),
        "Health: ok",
    ]
    again = box.run("ocg", "restart").stdout.splitlines()
    assert [line.split()[:2] for line in again[:6]] == [
        *(["■", one] for one in reversed(_SERVICES)),
        *(["✓", one] for one in _SERVICES),
    ]
    assert all(box.pid(service) not in {0, pid} for service, pid in pids.items())
    ended = box.run("ocg", "stop").stdout.splitlines()
    assert [line.split()[1] for line in ended] == list(reversed(_SERVICES))
    assert all("stopped (SIGTERM)" in line for line in ended)
    assert not _active(box, *_SERVICES, *_SOCKETS)
    assert box.run("ocg", "stop").stdout == "Nothing was running.\n"
    assert box.run("ocg", "status", check=False).returncode == 3


def test_a_client_does_not_bring_back_what_was_stopped(box: Box) -> None:
    box.run("ocg", "start")
    box.run("ocg", "stop")
    answer = box.run("curl", "-s", "--unix-socket", "/run/ocg/agent.sock", "http://agent/health", check=False)
    assert answer.returncode != 0
    assert not _active(box, *_SERVICES, *_SOCKETS)


def test_a_start_after_a_part_was_stopped_starts_all(box: Box) -> None:
    box.run("systemctl", "start", "ocg-embedding")
    box.run("ocg", "start")
    box.run("systemctl", "stop", "ocg-gateway")
    box.run("ocg", "start")
    assert _active(box, *_SERVICES) == set(_SERVICES)


def test_a_client_of_the_socket_starts_the_agent(box: Box) -> None:
    box.run("systemctl", "start", "ocg-agent.socket")
    assert not _active(box, "ocg-agent")
    answer = box.run("curl", "-s", "--unix-socket", "/tmp/ocg-agent.sock", "http://agent/health").stdout
    assert json.loads(answer)["service"] == "ocg-agent"
    assert _active(box, "ocg-agent", "ocg-embedding") == {"ocg-agent", "ocg-embedding"}


@pytest.mark.parametrize(("mode", "rung", "least"), [("ignores", "SIGINT", 3.0), ("ignores-both", "SIGKILL", 6.0)])
def test_a_stop_climbs_the_ladder_and_tells_the_rung(box: Box, mode: str, rung: str, least: float) -> None:
    misbehave(box, "ocg-agent", mode)
    box.run("ocg", "start")
    lines = box.run("ocg", "stop").stdout.splitlines()
    found = re.search(r"ocg-agent +([\d.]+) s  stopped \((\w+)\)", lines[1])
    assert found, lines
    assert found[2] == rung
    assert least <= float(found[1]) < least + 2
    assert "SIGTERM" in lines[0]
    assert "SIGTERM" in lines[2]
    assert "Agent: stopped" in box.run("ocg", "status", check=False).stdout, "it did not give up, we killed it"
    box.wait_until("systemctl show -P ActiveState ocg-alert@ocg-agent | grep -qx inactive")
    assert not box.journal(f"MESSAGE_ID={GAVE_UP}", "--since=-20s")


@pytest.mark.says("ocg-agent gave up")
def test_without_us_systemds_own_timeout_is_the_last_rung(box: Box) -> None:
    misbehave(box, "ocg-agent", "ignores-both")
    box.run("ocg", "start")
    began = time.monotonic()
    box.run("systemctl", "stop", "ocg-agent")
    assert 6.5 < time.monotonic() - began < 10
    assert box.show("ocg-agent", "Result")["Result"] == "timeout"


def test_force_kills_at_once(box: Box) -> None:
    misbehave(box, "ocg-agent", "ignores-both")
    box.run("ocg", "start")
    began = time.monotonic()
    assert "ocg-agent       0." in box.run("ocg", "stop", "--force").stdout
    assert time.monotonic() - began < 3
    assert not _active(box, *_SERVICES, *_SOCKETS)


@pytest.mark.says("moon is full", "Failed to start ocg-agent", "gave up")
def test_a_service_that_refuses_is_named_with_its_reason_and_not_restarted(box: Box) -> None:
    misbehave(box, "ocg-agent", "refuses")
    failed = box.run("ocg", "start", check=False)
    assert failed.returncode == 1
    assert "ocg-agent ended with exit status 78: the moon is full — wait for another moon" in failed.stderr
    assert "ocg.agent: the moon is full" in failed.stderr.partition("ocg: ")[0], "the journal's end is shown"
    assert box.show("ocg-agent", "NRestarts") == {"NRestarts": "0"}
    assert not _active(box, *_SERVICES, *_SOCKETS)
    assert "Agent: failed (exit-code)" in box.run("ocg", "status", check=False).stdout


@pytest.mark.says("Failed to start ocg-embedding")
def test_an_embedding_that_never_gets_ready_ends_the_start(box: Box) -> None:
    misbehave(box, "ocg-embedding", "never-ready", "TimeoutStartSec=2")
    failed = box.run("ocg", "start", check=False)
    assert failed.returncode == 1
    assert "ocg-embedding was not ready in time" in failed.stderr
    assert "ocg logs embedding" in failed.stderr
    assert not _active(box, *_SERVICES, *_SOCKETS)


@pytest.mark.says("Failed to start ocg-embedding", "gave up")
def test_without_embedding_the_gateway_comes_up_and_says_what_is_missing(box: Box) -> None:
    misbehave(box, "ocg-embedding", "refuses")
    box.run("systemctl", "start", "ocg-gateway")
    assert _active(box, *_SERVICES) == {"ocg-agent", "ocg-gateway"}
    status = box.run("ocg", "status", check=False)
    assert status.returncode == 1
    assert "Embedding: failed (exit-code)" in status.stdout
    assert "ocg-embedding" in status.stdout.splitlines()[-1]


@pytest.mark.says("Failed to start ocg-agent", "gave up", "about to die")
def test_a_crash_loop_ends_at_the_limit_and_the_next_start_begins_anew(box: Box) -> None:
    misbehave(box, "ocg-agent", "dies", "RestartSec=50ms")
    box.run("systemctl", "start", "ocg-agent", check=False)
    box.wait_until("test $(systemctl show -P SubState ocg-agent) = failed", 60)
    assert "Agent: failed (signal)" in box.run("ocg", "status", check=False).stdout
    assert int(box.show("ocg-agent", "NRestarts")["NRestarts"]) == 10
    box.run("rm", "/etc/systemd/system/ocg-agent.service.d/99-test.conf")
    box.run("systemctl", "daemon-reload")
    box.run("ocg", "start")
    assert _active(box, *_SERVICES) == set(_SERVICES)


def test_a_masked_unit_is_named_with_the_remedy(box: Box) -> None:
    box.run("mv", "/etc/systemd/system/ocg-agent.service", "/root/kept.service")
    box.run("systemctl", "mask", "ocg-agent")
    try:
        failed = box.run("ocg", "start", check=False)
        assert "ocg-agent.service is masked" in failed.stderr
        assert "systemctl unmask ocg-agent.service" in failed.stderr
    finally:
        box.run("systemctl", "unmask", "ocg-agent")
        box.run("mv", "/root/kept.service", "/etc/systemd/system/ocg-agent.service")
        box.run("systemctl", "daemon-reload")


def test_a_start_that_another_command_ends_says_so(box: Box) -> None:
    misbehave(box, "ocg-agent", "never-ready")
    starting = box.start("ocg", "start")
    box.wait_until("test $(systemctl show -P ActiveState ocg-agent) = activating")
    box.run("systemctl", "stop", "ocg.target", "ocg-agent")
    out, _ = starting.communicate(timeout=30)
    assert starting.returncode == 1, out
    assert re.search(r"ocg: ocg-(agent|gateway) was stopped by another command\n", out), out


def test_no_bus_and_no_units_are_told_apart(box: Box) -> None:
    no_bus = box.run("ocg", "status", check=False, env={"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nowhere"})
    assert no_bus.returncode == 69
    assert "no connection to the system's bus" in no_bus.stderr
    box.script("mkdir /root/kept && mv /etc/systemd/system/ocg* /root/kept && systemctl daemon-reload")
    try:
        no_units = box.run("ocg", "start", "--manager", "system", check=False)
        assert "ocg-embedding.service is not installed" in no_units.stderr
        assert "ocg service install" in no_units.stderr
        assert box.run("ocg", "status", check=False).stdout.startswith("Embedding: stopped"), "direct is used instead"
    finally:
        box.script("mv /root/kept/* /etc/systemd/system && rmdir /root/kept && systemctl daemon-reload")


def test_a_restart_asked_for_by_the_agent_itself_returns_before_the_stop_begins(box: Box) -> None:
    box.run("ocg", "start")
    before = box.pid("ocg-agent")
    script = f"{inside('ocg-agent')}; ocg restart; cut -d' ' -f1 /proc/uptime"
    asked = box.run("bash", "-c", script)
    assert "queued" in asked.stdout
    ended_s = float(asked.stdout.split()[-1])
    box.wait_until(f"test $(systemctl show -P MainPID ocg-agent) != {before} && ocg status")
    stop_began_s = int(box.show("ocg-agent", "ActiveExitTimestampMonotonic")["ActiveExitTimestampMonotonic"]) / 1e6
    assert ended_s <= stop_began_s + 0.011, "uptime has hundredths"


def test_drop_ins_of_ones_own_are_heeded(box: Box) -> None:
    drop_in(box, "ocg-gateway.service", "Environment=OCG_PORT=15010")
    assert "http://127.0.0.1:15010" in box.run("ocg", "start").stdout
    assert box.run("ocg", "status").stdout.endswith("Health: ok\n")


def test_restarts_that_were_asked_for_are_never_too_many(box: Box) -> None:
    box.run("ocg", "start")
    for _ in range(11):
        box.run("ocg", "restart")
    assert box.run("ocg", "status").stdout.endswith("Health: ok\n")


def test_starts_and_stops_in_a_row_use_up_no_sockets_limit(box: Box) -> None:
    for _ in range(7):
        box.run("systemctl", "start", "ocg-gateway")
        box.run("systemctl", "stop", "ocg-embedding")
    assert "ocg-embedding.socket" not in box.run("systemctl", "--failed", "--plain", "--no-legend").stdout
    box.run("ocg", "start")


def test_a_file_from_a_start_without_systemd_does_no_harm(box: Box) -> None:
    configure(box, "OCG_AGENT_SOCK=/tmp/ocg-agent.sock", "OCG_PID_DIR=/tmp/ocg", "EMBEDDING_SERVER_PORT=50123")
    box.run("ocg", "start")
    assert box.run("ocg", "status").stdout.endswith("Health: ok\n")
    assert box.run("cat", "/tmp/ocg/ocg-agent.pid").stdout == f"{box.pid('ocg-agent')}\n"
    said = box.journal("-p", "warning", "-u", "ocg-*", "-o", "cat", "--since=-20s")
    assert "OCG_AGENT_SOCK in /etc/ocg/env.config counts for nothing here" in said
    assert "EMBEDDING_SERVER_PORT counts for nothing here" in said
