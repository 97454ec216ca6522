"""The system and the user manager: systemd runs the services; we queue its jobs and tell what becomes of them."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress

from ocg import config
from ocg.errors import Code, OcgError
from ocg.managers import health
from ocg.managers.base import AGENT, EXIT_HINTS, GATEWAY, Phase, Progress, StartFailedError, Status
from ocg.managers.bus import Bus
from ocg.managers.watch import JobFailedError, Unit, Watch, units_of

_TARGET = "ocg.target"
# In the order of their stop; the sockets too, or the next client would bring their services back.
_UNITS = (
    _TARGET,
    "ocg-gateway.service",
    "ocg-agent.service",
    "ocg-agent.socket",
    "ocg-embedding.service",
    "ocg-embedding.socket",
)
_LOG_LINES = 12
_WHY = {
    "start-limit-hit": "failed too often, and systemd gave up",
    "timeout": "was not ready in time (TimeoutStartSec=)",
    "watchdog": "hung, and the watchdog ended it",
    "oom-kill": "was ended because the memory ran out",
    "protocol": "ended before it was ready",
    "resources": "could not be set up by systemd",
    "dependency": "needs something that did not start",
    "canceled": "was stopped by another command",
}


class SystemdManager:
    """Whoever runs units: the system's systemd, or the user's."""

    def __init__(self, settings: config.Common, *, user: bool) -> None:
        self.name = "user" if user else "system"
        self._settings = settings
        self._user = user

    def start(self) -> Iterator[Progress]:
        """See Manager. What runs is restarted, so that the sockets stay and nobody is refused meanwhile."""
        with self._bus() as bus:
            watch, began = Watch(bus), time.time()
            for unit in watch.units.values():
                _check_loaded(unit)
            self._forgive(bus, watch)
            job = bus.call("RestartUnit", "ss", _TARGET, "replace")
            try:
                yield from self._rise(watch, job)
            except (JobFailedError, StartFailedError) as error:
                failed = error if isinstance(error, StartFailedError) else self._failed(watch, error, began)
                for _ in watch.follow(self._stop_jobs(bus)):
                    pass
                raise failed from None

    def _rise(self, watch: Watch, job: str) -> Iterator[Progress]:
        """Pass on what happens, and look at the health of whatever becomes ready."""
        for step in watch.follow({job}, with_dependencies=True):
            if step.phase is Phase.READY:
                self._check_health(step.service, watch.units[step.service].where)
            yield step
        for unit in watch.units.values():
            if not unit.is_active:
                raise JobFailedError(unit.service, "failed")

    def _check_health(self, service: str, where: str) -> None:
        try:
            verdict = health.check(service, where)
        except OcgError as error:
            if service == AGENT and not os.access(where, os.W_OK):
                return  # it is not ours to talk to; the gateway's health tells of it
            verdict = error.message
        if verdict != "ok":
            raise StartFailedError(service, f"is not healthy: {verdict}", "ocg status")

    def stop(self, *, force: bool = False) -> Iterator[Progress]:
        """See Manager."""
        with self._bus() as bus:
            watch = Watch(bus)
            for unit in watch.units.values():
                _check_loaded(unit)
            jobs = self._stop_jobs(bus)
            if force:
                watch.kill()
            try:
                yield from watch.follow(jobs)
            except JobFailedError as error:
                raise OcgError(
                    Code.STOP_FAILED, f"the stop of {error}", f"see `systemctl status {error.service}`"
                ) from None
            self._forgive(bus, watch)

    def _forgive(self, bus: Bus, watch: Watch) -> None:
        """Reset what failed: a start is to begin anew, and one that we killed ourselves gave nothing up."""
        for unit in watch.units.values():
            if unit.state == "failed":
                with suppress(OcgError):  # polkit may let us start and not this
                    bus.call("ResetFailedUnit", "s", f"{unit.service}.service")

    def _stop_jobs(self, bus: Bus) -> set[str]:
        """Queue the stop of everything; systemd takes the order from After=."""
        there = bus.units(_UNITS)
        loaded = [name for name in _UNITS if there[name].properties["LoadState"] == "loaded"]
        return {str(bus.call("StopUnit", "ss", name, "replace")) for name in loaded}

    def status(self) -> Status:
        """See Manager."""
        with self._bus() as bus:
            units = units_of(bus)
            for unit in units.values():
                _check_loaded(unit)
                unit.properties |= bus.service(unit.path)
        pids = {service: int(unit.properties["MainPID"]) if unit.is_active else None for service, unit in units.items()}
        states = {service: text for service, unit in units.items() if (text := _state(unit))}
        return Status(pids, _health(units), states)

    def _bus(self) -> Bus:
        return Bus(user=self._user)

    def _failed(self, watch: Watch, error: JobFailedError, began: float) -> StartFailedError:
        """Say which service failed, why, and what helps, with the end of its journal."""
        unit = watch.units[error.service]
        found = unit.failure or unit.properties
        status = int(found.get("ExecMainStatus", 0))
        result = str(found.get("Result", "success"))
        said = str(found.get("StatusText", ""))
        why = _why(result if result != "success" else error.result, status)
        hint = EXIT_HINTS.get(status, "") if result == "exit-code" else ""
        return StartFailedError(
            error.service,
            f"{why}: {said}" if said and not said.startswith("Serving") else why,
            hint or f"ocg logs {error.service.removeprefix('ocg-')}",
            exit_status=status if result == "exit-code" else None,
            log_lines=self._journal(error.service, began),
        )

    def _journal(self, service: str, since: float) -> tuple[str, ...]:
        """Return the last lines that a service wrote since, as far as this user may read them."""
        import subprocess  # noqa: PLC0415 - 5 ms, which `ocg status` has not

        unit = "--user-unit" if self._user else "--unit"
        command = ["journalctl", "-q", "--no-pager", "-o", "cat", f"-n{_LOG_LINES}", f"--since=@{int(since)}"]
        done = subprocess.run([*command, f"{unit}={service}"], capture_output=True, text=True, check=False, timeout=10)
        return tuple(done.stdout.splitlines())


def _check_loaded(unit: Unit) -> None:
    """Raise what stands between us and a unit."""
    name = f"{unit.service}.service"
    match unit.properties["LoadState"]:
        case "not-found":
            raise OcgError(Code.NOT_FOUND, f"{name} is not installed", "ocg service install")
        case "masked":
            raise OcgError(Code.FORBIDDEN, f"{name} is masked, so that nobody starts it", f"systemctl unmask {name}")
        case "loaded":
            return
    raise OcgError(Code.CONFIG_INVALID, f"systemd cannot read {name}", f"systemd-analyze verify {name}")


def _why(result: str, status: int) -> str:
    match result:
        case "exit-code":
            return f"ended with exit status {status}"
        case "signal" | "core-dump":
            return f"was killed by {signal.Signals(status).name}"
    return _WHY.get(result, f"did not start ({result})")


def _state(unit: Unit) -> str:
    """Say what a service is that does not run, where it is not simply stopped."""
    if unit.properties.get("SubState") == "auto-restart":
        return f"failed ({unit.properties['Result']}), restarts in a moment"
    match unit.state:
        case "failed":
            return f"failed ({unit.properties['Result']})"
        case "activating":
            return f"starting: {unit.said}" if unit.said else "starting"
        case "deactivating":
            return "stopping"
    return ""


def _health(units: dict[str, Unit]) -> str:
    if not units[GATEWAY].is_active:
        return "ocg-gateway not running" if any(unit.is_active for unit in units.values()) else "not running"
    try:
        return health.check(GATEWAY, units[GATEWAY].where)
    except OcgError as error:
        return error.message
