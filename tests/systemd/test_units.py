"""The units as systemd 252 reads them: no ignored key, the order of start and stop, the cage, crashes contained."""

import re
from itertools import pairwise

import pytest

from tests.systemd.box import CHECKOUT, Box

_SERVICES = ("ocg-embedding", "ocg-agent", "ocg-gateway")
_OTHERS = ("ocg-agent.socket", "ocg-embedding.socket", "ocg.target", "ocg-embedding.target", "ocg-agent.target")
# The manual comes with the packages, whose units are verified with it.
_NO_PAGES = "--man=no"


def _moment(box: Box, service: str, name: str) -> int:
    """Return a timestamp in microseconds since boot."""
    return int(box.show(f"{service}.service", f"{name}TimestampMonotonic")[f"{name}TimestampMonotonic"])


def _states(box: Box) -> list[str]:
    return box.run("systemctl", "is-active", *_SERVICES, check=False).stdout.split()


def test_systemd_ignores_nothing_in_the_units(box: Box) -> None:
    units = [*(f"{service}.service" for service in _SERVICES), *_OTHERS, "ocg-alert@ocg-agent.service"]
    assert box.run("systemd-analyze", "verify", _NO_PAGES, *units).text == ""


def test_the_same_files_serve_a_users_manager(box: Box) -> None:
    units = sorted(path.name for path in (CHECKOUT / "units").iterdir() if path.is_file() and "@" not in path.name)
    paths = [str(CHECKOUT / "units" / name) for name in units]
    box.run("mkdir", "-p", "/run/user/0")
    # /usr/bin/ocg-agent is there once a package has brought it.
    for program in ("ocg", "ocg-embedding", "ocg-agent", "ocg-gateway"):
        box.run("ln", "-sf", f"{CHECKOUT}/bin/{program}", f"/usr/bin/{program}")
    env = {"XDG_RUNTIME_DIR": "/run/user/0"}
    assert box.run("systemd-analyze", "--user", "verify", _NO_PAGES, *paths, env=env).text == ""


@pytest.mark.parametrize(("service", "most"), [("ocg-embedding", 1.0), ("ocg-agent", 2.0), ("ocg-gateway", 2.0)])
def test_the_exposure_stays_low(box: Box, service: str, most: float) -> None:
    text = box.run("systemd-analyze", "--no-pager", "security", f"{service}.service").stdout
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", text)
    assert found, text
    assert float(found[1]) <= most, text


def test_starting_the_gateway_brings_up_all_three_in_order(box: Box) -> None:
    box.run("systemctl", "start", "ocg-gateway")
    assert _states(box) == ["active", "active", "active"]
    for first, second in pairwise(_SERVICES):
        assert _moment(box, first, "ActiveEnter") <= _moment(box, second, "InactiveExit")


def test_stopping_embedding_takes_all_three_down_in_order(box: Box) -> None:
    box.run("systemctl", "start", "ocg-gateway")
    box.run("systemctl", "stop", "ocg-embedding")
    assert _states(box) == ["inactive", "inactive", "inactive"]
    for last, first in pairwise(_SERVICES):
        assert _moment(box, first, "InactiveEnter") <= _moment(box, last, "ActiveExit")


@pytest.mark.parametrize("service", ["ocg-embedding", "ocg-agent"])
@pytest.mark.parametrize("how", ["crash", "restart"])
def test_what_happens_to_one_service_leaves_the_others_alone(box: Box, service: str, how: str) -> None:
    box.run("systemctl", "start", "ocg-gateway")
    before = {one: box.pid(one) for one in _SERVICES}
    if how == "crash":
        box.run("systemctl", "kill", "--kill-whom=main", "-s", "KILL", service)
        box.wait_until(f"test $(systemctl show -P NRestarts {service}) = 1 && systemctl is-active {service}")
    else:
        box.run("systemctl", "restart", service)
    after = {one: box.pid(one) for one in _SERVICES}
    assert {one for one in _SERVICES if before[one] != after[one]} == {service}
    assert 0 not in after.values()


def test_the_services_come_up_with_the_machine(box: Box) -> None:
    box.run("systemctl", "isolate", "--no-block", "default.target")
    box.wait_until("ocg status")
    wanted = box.run("systemctl", "list-dependencies", "--plain", "default.target").stdout
    assert "ocg.target" in wanted
    assert "ocg-gateway.service" in box.run("systemctl", "list-dependencies", "--plain", "ocg.target").stdout


def test_embedding_has_no_network_of_its_own(box: Box) -> None:
    box.run("systemctl", "start", "ocg-embedding")
    entered = ("nsenter", "-n", "-t", str(box.pid("ocg-embedding")))
    assert box.run(*entered, "ls", "/sys/class/net").stdout.split() == ["lo"]
    assert box.run("curl", "-sf", "http://127.0.0.1:50000/health").stdout
    inside = box.run(*entered, "curl", "-s", "-m2", "http://127.0.0.1:50000/health", check=False)
    assert inside.returncode == 7, "a connection from within should be refused: nobody listens there"


def test_enabling_the_gateway_is_enabling_ocg(box: Box) -> None:
    states = ("systemctl", "is-enabled", "ocg.target", "ocg-gateway.service", "ocg-agent.socket")
    assert box.run(*states).stdout.split() == ["enabled"] * 3
    box.run("systemctl", "disable", "ocg-gateway")
    assert box.run(*states, check=False).stdout.split() == ["disabled"] * 3
    box.run("systemctl", "enable", "ocg-gateway")
    assert box.run(*states).stdout.split() == ["enabled"] * 3
    assert box.run("systemctl", "is-enabled", "ocg-agent.service").stdout == "static\n"
