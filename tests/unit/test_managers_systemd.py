"""The system and the user manager on what systemd tells: progress, the ladder, failures with their remedies."""

import signal
from collections.abc import Callable

import pytest

from ocg import config
from ocg.errors import Code, OcgError
from ocg.managers import systemd, unit, watch
from ocg.managers.base import SERVICES, Phase, Progress, StartFailedError
from ocg.managers.systemd import SystemdManager
from tests.unit.systemd_double import Clock, Systemd, changed, over, refused, started

EMBEDDING, AGENT, GATEWAY = SERVICES
WHERE = {
    EMBEDDING: {"StatusText": "Serving at http://127.0.0.1:50000", "MainPID": 11},
    AGENT: {"StatusText": "Serving at /nowhere/agent.sock", "MainPID": 12},
    GATEWAY: {"StatusText": "Serving at http://127.0.0.1:55003", "MainPID": 13},
}
ALL_ACTIVE = dict.fromkeys(SERVICES, "active")
REFUSED = OcgError(Code.FORBIDDEN, "polkit says no", "use sudo")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    for module in (watch, unit, systemd):
        monkeypatch.setattr(module, "time", found)
    return found


@pytest.fixture
def bus(clock: Clock) -> Systemd:
    return Systemd(clock, told=dict(WHERE))


@pytest.fixture(autouse=True)
def checked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Health checks are not made, but noted; all is well."""
    found: list[tuple[str, str]] = []

    def check(service: str, where: str) -> str:
        found.append((service, where))
        return "ok"

    monkeypatch.setattr("ocg.managers.health.check", check)
    return found


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which units' journals were read."""
    found: list[str] = []

    def journal(self: SystemdManager, name: str, since: float) -> tuple[str, ...]:
        found.append(name)
        return (f"a line of {name}",)

    monkeypatch.setattr(SystemdManager, "_journal", journal)
    return found


@pytest.fixture
def manager(bus: Systemd) -> SystemdManager:
    return SystemdManager(config.Common(), user=False, connect=bus.connect)


def _steps(found: list[Progress]) -> list[tuple[str, Phase, str]]:
    return [(one.service, one.phase, one.detail) for one in found if one.phase in {Phase.READY, Phase.STOPPED}]


def _stops(bus: Systemd) -> None:
    """Have stop jobs be over at once."""
    bus.react["StopUnit"] = lambda values: [over(str(values[0]))]


def test_a_start_tells_each_step_and_checks_the_health_where_a_service_says_it_serves(
    bus: Systemd, manager: SystemdManager, checked: list[tuple[str, str]]
) -> None:
    bus.react["RestartUnit"] = lambda _: [*started(), over("ocg.target")]
    assert _steps(list(manager.start())) == [
        (EMBEDDING, Phase.READY, "http://127.0.0.1:50000"),
        (AGENT, Phase.READY, "/nowhere/agent.sock"),
        (GATEWAY, Phase.READY, "http://127.0.0.1:55003"),
    ]
    queued = [call for call in bus.calls if call[0] != "ResetFailedUnit"]
    assert queued == [("Subscribe",), ("RestartUnit", "ocg.target", "replace")], "it listens before it queues"
    assert [service for service, _ in checked] == [EMBEDDING, GATEWAY], "the agent's socket is not ours to open"


def test_what_a_service_says_of_its_start_is_passed_on(bus: Systemd, manager: SystemdManager) -> None:
    said = changed(EMBEDDING, "activating", StatusText="Loading minilm")
    first, *rest = started()
    bus.react["RestartUnit"] = lambda _: [first, said, *rest, over("ocg.target")]
    found = list(manager.start())
    assert [one.detail for one in found if one.phase is Phase.STARTING][:2] == ["", "Loading minilm"]


def test_a_start_that_is_asked_for_begins_with_a_clean_slate(bus: Systemd, manager: SystemdManager) -> None:
    bus.states = {AGENT: "failed", GATEWAY: "auto-restart"}
    bus.react["RestartUnit"] = lambda _: [*started(), over("ocg.target")]
    list(manager.start())
    assert bus.sent("ResetFailedUnit") == [(f"{service}.service",) for service in SERVICES]


@pytest.mark.parametrize(
    ("properties", "result", "wanted"),
    [
        ({"Result": "exit-code", "ExecMainStatus": 78, "StatusText": "no"}, "failed", "ended with exit status 78: no"),
        ({"Result": "signal", "ExecMainStatus": 11}, "failed", "was killed by SIGSEGV"),
        ({"Result": "timeout", "ExecMainStatus": 15}, "failed", "was not ready in time (TimeoutStartSec=)"),
        ({"Result": "watchdog", "ExecMainStatus": 6}, "failed", "hung, and the watchdog ended it"),
        ({"Result": "oom-kill", "ExecMainStatus": 9}, "failed", "was ended because the memory ran out"),
        ({"Result": "protocol"}, "failed", "ended before it was ready"),
        ({"Result": "start-limit-hit"}, "failed", "failed too often, and systemd gave up"),
        ({}, "canceled", "was stopped by another command"),
        ({}, "timeout", "was not ready in time (TimeoutStartSec=)"),
        ({}, "dependency", "needs something that did not start"),
    ],
)
def test_a_start_that_fails_says_which_and_why_and_stops_what_it_started(
    bus: Systemd,
    manager: SystemdManager,
    lines: list[str],
    properties: dict[str, object],
    result: str,
    wanted: str,
) -> None:
    ended = changed(AGENT, "failed", **properties) if properties else changed(AGENT, "inactive")
    bus.react["RestartUnit"] = lambda _: [
        *started(EMBEDDING),
        changed(AGENT, "activating"),
        ended,
        over("ocg-agent.service", result),
    ]
    _stops(bus)
    with pytest.raises(StartFailedError) as caught:
        list(manager.start())
    assert caught.value.message == f"ocg-agent {wanted}"
    assert caught.value.log_lines == ("a line of ocg-agent.service",)
    assert caught.value.exit_status == (78 if properties.get("Result") == "exit-code" else None)
    assert bus.sent("StopUnit")[0] == ("ocg.target", "replace")
    assert caught.value.hint == (
        "correct what the line above says, then `ocg start`" if caught.value.exit_status else "ocg logs agent"
    )


def test_what_a_service_said_while_it_served_is_no_reason(
    bus: Systemd, manager: SystemdManager, lines: list[str]
) -> None:
    said = {"Result": "signal", "ExecMainStatus": 9, "StatusText": "Serving at http://127.0.0.1:50000"}
    bus.react["RestartUnit"] = lambda _: [*started(EMBEDDING), changed(EMBEDDING, "failed", **said), over("ocg.target")]
    _stops(bus)
    with pytest.raises(StartFailedError, match="ocg-embedding was killed by SIGKILL — ocg logs embedding"):
        list(manager.start())


def test_a_socket_that_cannot_listen_is_named_in_its_services_place(
    bus: Systemd, manager: SystemdManager, lines: list[str]
) -> None:
    bus.states["ocg-embedding.socket"] = "failed"
    bus.react["RestartUnit"] = lambda _: [over("ocg-embedding.service", "dependency")]
    _stops(bus)
    with pytest.raises(StartFailedError, match=r"ocg-embedding\.socket could not be opened"):
        list(manager.start())
    assert lines == ["ocg-embedding.socket"]


def test_a_target_that_another_command_stops_is_told(bus: Systemd, manager: SystemdManager, lines: list[str]) -> None:
    bus.react["RestartUnit"] = lambda _: [over("ocg.target", "canceled")]
    _stops(bus)
    with pytest.raises(StartFailedError, match=r"ocg\.target was stopped by another command"):
        list(manager.start())


def test_of_all_that_another_command_stops_what_was_on_its_way_is_named(
    bus: Systemd, manager: SystemdManager, lines: list[str]
) -> None:
    bus.react["RestartUnit"] = lambda _: [
        *started(EMBEDDING),
        changed(AGENT, "activating"),
        over("ocg-gateway.service", "canceled"),
    ]
    _stops(bus)
    with pytest.raises(StartFailedError, match="ocg-agent was stopped by another command"):
        list(manager.start())


def test_the_starts_failure_is_told_even_if_the_stop_after_it_fails(
    bus: Systemd, manager: SystemdManager, lines: list[str]
) -> None:
    bus.react["RestartUnit"] = lambda _: [over("ocg-agent.service", "failed")]
    bus.react["StopUnit"] = lambda values: [over(str(values[0]), "canceled")]
    with pytest.raises(StartFailedError, match="ocg-agent"):
        list(manager.start())


def test_a_service_that_systemd_did_not_start_fails_the_start(
    bus: Systemd, manager: SystemdManager, lines: list[str]
) -> None:
    bus.react["RestartUnit"] = lambda _: [*started(EMBEDDING, GATEWAY), over("ocg.target")]
    _stops(bus)
    with pytest.raises(StartFailedError, match="ocg-agent did not start"):
        list(manager.start())


def test_an_unhealthy_service_fails_the_start(
    bus: Systemd, manager: SystemdManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ocg.managers.health.check", lambda _service, _where: "vectors damaged")
    bus.react["RestartUnit"] = lambda _: [*started(), over("ocg.target")]
    _stops(bus)
    with pytest.raises(StartFailedError, match="ocg-embedding is not healthy: vectors damaged"):
        list(manager.start())


def test_a_control_group_that_is_still_being_removed_is_tried_again_once(
    bus: Systemd, manager: SystemdManager, lines: list[str]
) -> None:
    busy = refused(AGENT, Result="exit-code", ExecMainStatus=219)
    turns = [busy, [*started(), over("ocg.target")], busy, busy]
    bus.react["RestartUnit"] = lambda _: turns.pop(0)
    _stops(bus)
    assert [one[0] for one in _steps(list(manager.start()))] == list(SERVICES)
    with pytest.raises(StartFailedError, match="ended with exit status 219"):
        list(manager.start())


def test_what_polkit_forbids_stops_nothing(bus: Systemd, manager: SystemdManager) -> None:
    bus.react["RestartUnit"] = lambda _: REFUSED
    with pytest.raises(OcgError, match="polkit says no"):
        list(manager.start())
    assert not bus.sent("StopUnit")


@pytest.mark.parametrize(
    ("state", "code", "hint"),
    [
        ("not-found", Code.NOT_FOUND, "ocg service install"),
        ("masked", Code.FORBIDDEN, "systemctl unmask ocg-agent.service"),
        ("bad-setting", Code.CONFIG_INVALID, "systemd-analyze verify ocg-agent.service"),
    ],
)
@pytest.mark.parametrize("act", [SystemdManager.start, SystemdManager.stop, SystemdManager.status])
def test_what_stands_between_us_and_a_unit_is_named_with_the_remedy(
    bus: Systemd, manager: SystemdManager, act: Callable[..., object], state: str, code: Code, hint: str
) -> None:
    bus.load["ocg-agent.service"] = state
    with pytest.raises(OcgError, match=r"ocg-agent\.service") as caught:
        list(act(manager))  # type: ignore[call-overload]  # a status has no items, but never gets that far
    assert (caught.value.code, caught.value.hint) == (code, hint)


def _hang(bus: Systemd, clock: Clock, ends_by: signal.Signals | None) -> None:
    """Have the agent, which runs, stop by one of our signals alone, the others at once."""

    def stop(values: tuple[object, ...]) -> list[object]:
        if values[0] == "ocg-agent.service":
            return [changed(AGENT, "deactivating")]
        return [over(str(values[0]))]

    def kill(values: tuple[object, ...]) -> list[object]:
        if values[2] != ends_by:
            return []
        code = {"ExecMainCode": 2, "ExecMainStatus": 9} if ends_by is signal.SIGKILL else {}
        return [changed(AGENT, "inactive", **code), over("ocg-agent.service")]

    bus.states = {AGENT: "active"}
    bus.react |= {"StopUnit": stop, "KillUnit": kill}  # type: ignore[dict-item]  # signals all


@pytest.mark.parametrize(("rung", "whom", "seconds"), [(signal.SIGINT, "main", 3.0), (signal.SIGKILL, "all", 6.0)])
def test_a_stop_climbs_the_ladder_from_when_the_service_began_to_stop(
    bus: Systemd, manager: SystemdManager, clock: Clock, rung: signal.Signals, whom: str, seconds: float
) -> None:
    _hang(bus, clock, rung)
    (stopped,) = [one for one in manager.stop() if one.phase is Phase.STOPPED]
    assert (stopped.service, stopped.detail, stopped.seconds) == (AGENT, rung.name, seconds)
    assert bus.sent("KillUnit")[-1] == ("ocg-agent.service", whom, int(rung))


def test_without_the_right_to_kill_systemds_own_timeout_ends_the_stop(
    bus: Systemd, manager: SystemdManager, clock: Clock
) -> None:
    _hang(bus, clock, None)
    bus.react["KillUnit"] = lambda _: REFUSED
    timeout = {"Result": "timeout", "ExecMainCode": 2, "ExecMainStatus": 9}
    bus.later = [(clock.now + 7, changed(AGENT, "failed", **timeout)), (clock.now + 7, over("ocg-agent.service"))]
    for step in manager.stop():
        if step.phase is Phase.STOPPED:
            assert (step.detail, step.seconds) == ("SIGKILL", 7.0)
            assert bus.sent("ResetFailedUnit") == [("ocg-agent.service",)], "it is stopped, not failed, at once"
    assert len(bus.sent("ResetFailedUnit")) == 1


def test_force_kills_first_and_stops_what_would_come_back(bus: Systemd, manager: SystemdManager) -> None:
    bus.states = dict(ALL_ACTIVE)
    dead = {"ExecMainCode": 2, "ExecMainStatus": 9, "Result": "signal", "SubState": "auto-restart"}
    bus.react["KillUnit"] = lambda values: [changed(str(values[0]).removesuffix(".service"), "activating", **dead)]
    _stops(bus)
    assert [one[2] for one in _steps(list(manager.stop(force=True)))] == ["SIGKILL"] * 3
    methods = [call[0] for call in bus.calls]
    assert methods[:4] == ["Subscribe", "KillUnit", "KillUnit", "KillUnit"]
    assert set(methods[4:]) == {"StopUnit"}


def test_force_without_the_right_to_kill_is_a_plain_stop_without_a_wait(
    bus: Systemd, manager: SystemdManager, clock: Clock
) -> None:
    bus.states = {AGENT: "active"}
    bus.react["KillUnit"] = lambda _: REFUSED
    bus.react["StopUnit"] = lambda values: [changed(AGENT, "inactive"), over(str(values[0]))]
    began = clock.now
    assert [one[0] for one in _steps(list(manager.stop(force=True)))] == [AGENT]
    assert clock.now == began


def test_a_signal_that_came_from_elsewhere_is_told_as_what_ended_it(
    bus: Systemd, manager: SystemdManager, clock: Clock
) -> None:
    _hang(bus, clock, None)
    killed = {"Result": "oom-kill", "ExecMainCode": 2, "ExecMainStatus": 9}
    bus.later = [(clock.now + 1, changed(AGENT, "failed", **killed)), (clock.now + 1, over("ocg-agent.service"))]
    assert _steps(list(manager.stop())) == [(AGENT, Phase.STOPPED, "SIGKILL")]


def test_a_stop_that_another_start_undoes_is_no_success(bus: Systemd, manager: SystemdManager) -> None:
    bus.react["StopUnit"] = lambda values: [over(str(values[0]), "canceled")]
    with pytest.raises(OcgError, match=r"the stop of \S+: canceled") as caught:
        list(manager.stop())
    assert caught.value.code is Code.STOP_FAILED


def test_a_systemd_that_falls_silent_has_an_end(bus: Systemd, manager: SystemdManager) -> None:
    with pytest.raises(OcgError, match="says nothing more") as caught:
        list(manager.stop())
    assert caught.value.code is Code.TIMEOUT


@pytest.mark.parametrize(
    ("state", "told", "wanted"),
    [
        ("inactive", {}, None),
        ("failed", {"Result": "start-limit-hit"}, "failed (start-limit-hit)"),
        ("activating", {"StatusText": "Loading minilm"}, "starting: Loading minilm"),
        ("auto-restart", {"Result": "exit-code"}, "failed (exit-code), restarts in a moment"),
        ("deactivating", {}, "stopping"),
    ],
)
def test_status_tells_more_than_stopped(
    bus: Systemd, manager: SystemdManager, state: str, told: dict[str, object], wanted: str | None
) -> None:
    bus.states, bus.told[AGENT] = ALL_ACTIVE | {AGENT: state}, told
    status = manager.status()
    assert status.pids == {EMBEDDING: 11, AGENT: None, GATEWAY: 13}
    assert status.states.get(AGENT) == wanted
    assert not status.is_ok


def test_the_gateways_health_is_asked_where_it_says_it_serves_else_where_it_is_set_to(
    bus: Systemd, manager: SystemdManager, checked: list[tuple[str, str]]
) -> None:
    bus.states = dict(ALL_ACTIVE)
    assert manager.status().is_ok
    bus.told[GATEWAY] = {"MainPID": 13, "StatusText": "Serving at http://127.0.0.1:7; a restart is needed for OCG_PORT"}
    manager.status()
    bus.told[GATEWAY] = {"MainPID": 13, "StatusText": "Hung: the loop"}
    manager.status()
    assert [where for _, where in checked] == [
        "http://127.0.0.1:55003",
        "http://127.0.0.1:7",
        "http://127.0.0.1:55003",
    ]


def test_a_reload_waits_for_those_that_take_it_up_late_and_tells_what_they_say(
    bus: Systemd, manager: SystemdManager, clock: Clock
) -> None:
    bus.states = ALL_ACTIVE | {EMBEDDING: "inactive"}
    bus.react["ReloadUnit"] = lambda values: [over(str(values[0]))]
    bus.later = [(clock.now + 0.2, changed(AGENT, "reloading")), (clock.now + 0.9, changed(AGENT, "active"))]
    bus.told[AGENT] = {"StatusText": "Serving at /nowhere/agent.sock; a restart is needed for OCG_DATA_DIR"}
    began = clock.now
    found = list(manager.reload())
    assert [(one.service, one.phase, one.detail) for one in found] == [
        (AGENT, Phase.RELOADED, "a restart is needed for OCG_DATA_DIR"),
        (GATEWAY, Phase.RELOADED, ""),
    ]
    assert 0.9 < clock.now - began < 2


def test_a_reload_that_hangs_has_an_end(bus: Systemd, manager: SystemdManager) -> None:
    bus.states = dict(ALL_ACTIVE)
    bus.react["ReloadUnit"] = lambda values: [over(str(values[0])), changed(AGENT, "reloading")]
    with pytest.raises(OcgError, match="ocg-agent did not reload within 5 s"):
        list(manager.reload())


def test_nothing_that_runs_is_nothing_to_reload(manager: SystemdManager) -> None:
    with pytest.raises(OcgError, match="nothing is running") as caught:
        list(manager.reload())
    assert caught.value.code.exit_status == 3
