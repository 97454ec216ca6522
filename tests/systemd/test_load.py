"""Restarts, crashes and reloads under 50 clients: nobody is refused, no turn is lost, none is done twice."""

import time

import pytest

from tests.systemd.box import Box
from tests.systemd.conftest import MODEL_PORT, configure
from tests.systemd.load import LEAST
from tests.systemd.loads import GATEWAY, SOCKET, Outcome, load

_SERVICES = ("ocg-embedding", "ocg-agent", "ocg-gateway")
_RESTARTS = 3
# Between restarts, so that each meets a load that has come to its full size again.
_PAUSE_S = 0.7


def _check(outcome: Outcome) -> None:
    assert not outcome.faults, (outcome.counts, outcome.faults)
    assert outcome.counts["turns"] >= LEAST
    assert outcome.counts["plain"] >= LEAST


@pytest.mark.parametrize(
    ("service", "where"),
    [*((service, SOCKET) for service in _SERVICES), ("ocg-agent", GATEWAY), ("ocg-gateway", GATEWAY)],
)
def test_a_restart_under_load_refuses_and_loses_nothing(box: Box, model: str, service: str, where: str) -> None:
    box.run("ocg", "start")
    with load(box, where) as outcome:
        for _ in range(_RESTARTS):
            box.run("systemctl", "restart", service)
            time.sleep(_PAUSE_S)
    _check(outcome)


def test_a_restart_of_everything_under_load_loses_nothing(box: Box, model: str) -> None:
    box.run("ocg", "start")
    with load(box, GATEWAY) as outcome:
        box.run("ocg", "restart")
        time.sleep(_PAUSE_S)
    _check(outcome)


@pytest.mark.parametrize("service", _SERVICES)
def test_a_crash_under_load_heals_and_loses_no_turn(box: Box, model: str, service: str) -> None:
    """What a killed process was answering is cut; it is asked for again, and nobody is refused meanwhile."""
    box.run("ocg", "start")
    with load(box, GATEWAY if service == "ocg-gateway" else SOCKET) as outcome:
        for number in range(1, _RESTARTS + 1):
            box.run("systemctl", "kill", "--kill-whom=main", "-s", "KILL", service)
            box.wait_until(
                f"test $(systemctl show -P NRestarts {service}) = {number} && systemctl is-active -q {service}"
            )
            time.sleep(_PAUSE_S)
    outcome.faults = [fault for fault in outcome.faults if not fault.startswith("plain: ")]
    _check(outcome)
    assert box.run("ocg", "status").stdout.endswith("Health: ok\n")


def test_a_reload_under_load_drops_no_connection(box: Box, model: str) -> None:
    box.run("ocg", "start")
    pids = {service: box.pid(service) for service in _SERVICES}
    with load(box, GATEWAY) as outcome:
        for number in range(5):
            configure(
                box,
                f"OCG_BASE_URL=http://127.0.0.1:{MODEL_PORT}/v1",
                "OCG_MODEL=scripted",
                "OCG_AUTO_RECALL=no",
                f"OCG_RECALL_LIMIT={number + 1}",
            )
            box.run("systemctl", "reload", *_SERVICES)
            time.sleep(_PAUSE_S)
    _check(outcome)
    assert outcome.counts.get("cut", 0) == 0
    assert pids == {service: box.pid(service) for service in _SERVICES}
    assert box.journal("-u", "ocg-agent", "-o", "cat", "--since=-60s").count("new: OCG_RECALL_LIMIT") >= 4
