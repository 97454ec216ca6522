"""The system and the user manager: systemd runs the services; we queue its jobs and tell what becomes of them."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress

from ocg import config
from ocg.errors import Code, OcgError
from ocg.managers import health, verdict
from ocg.managers.base import AGENT, GATEWAY, Phase, Progress, StartFailedError, Status, not_running
from ocg.managers.bus import Bus
from ocg.managers.unit import Connection, Unit, units_of
from ocg.managers.watch import JobFailedError, Watch

_TARGET = "ocg.target"
# In the order of their stop; the sockets too, or the next client would bring their services back.
_UNITS = (
    _TARGET,
    "ocg-gateway.service",
    "ocg-agent.service",
    "ocg-agent.socket",
    "ocg-tool-ro.socket",
    "ocg-tool-rw.socket",
    "ocg-tool-net.socket",
    "ocg-tool-ext.socket",
    "ocg-embedding.service",
    "ocg-embedding.socket",
)
_LOG_LINES = 12
Connect = Callable[[], AbstractContextManager[Connection]]


class SystemdManager:
    """Whoever runs units: the system's systemd, or the user's. `connect` opens the way to it."""

    def __init__(self, settings: config.Common, *, user: bool, connect: Connect | None = None) -> None:
        self.name = "user" if user else "system"
        self._settings = settings
        self._user = user
        self._connect: Connect = connect or (lambda: Bus(user=user))

    def start(self) -> Iterator[Progress]:
        """See Manager. What runs is restarted, so that the sockets stay and nobody is refused meanwhile."""
        with self._connect() as bus:
            watch, began = Watch(bus), time.time()
            for unit in watch.units.values():
                verdict.check_loaded(unit)
                # Also of one that runs: it forgets the starts that StartLimitBurst= counts, and ours was asked for.
                with suppress(OcgError):
                    bus.call("ResetFailedUnit", "s", f"{unit.service}.service")
            try:
                yield from self._rise(watch, bus)
            except (JobFailedError, StartFailedError) as error:
                failed = error if isinstance(error, StartFailedError) else self._failed(watch, bus, error, began)
                with suppress(OcgError, JobFailedError):  # the start's own failure is what matters
                    for _ in watch.follow(self._stop_jobs(bus)):
                        pass
                raise failed from None

    def _rise(self, watch: Watch, bus: Connection) -> Iterator[Progress]:
        """Bring all up; once more when the control group of the run before was in the way, which passes."""
        try:
            yield from self._restart(watch, bus)
        except JobFailedError as error:
            if not verdict.was_group_busy(error, watch.units):
                raise
            yield from self._restart(watch, bus)

    def _restart(self, watch: Watch, bus: Connection) -> Iterator[Progress]:
        """Queue the job, pass on what happens, and look at the health of whatever becomes ready."""
        for unit in watch.units.values():
            unit.failure = {}
        job = str(bus.call("RestartUnit", "ss", _TARGET, "replace"))
        for step in watch.follow({job}, with_dependencies=True):
            if step.phase is Phase.READY:
                self._check_health(step.service, self._where(watch.units[step.service]))
            yield step
        for unit in watch.units.values():
            if not unit.is_active:
                raise JobFailedError(unit.service, "failed")

    def _where(self, unit: Unit) -> str:
        """Where a service serves: as it says, else where its settings put it."""
        fixed = {AGENT: str(self._settings.agent_sock), GATEWAY: health.gateway_url(self._settings)}
        return unit.where or fixed.get(unit.service, "")

    def _check_health(self, service: str, where: str) -> None:
        if not where or (service == AGENT and not os.access(where, os.W_OK)):
            return  # it is not ours to talk to; the gateway's health tells of it
        try:
            found = health.check(service, where)
        except OcgError as error:
            found = error.message
        if found != "ok":
            raise StartFailedError(service, f"is not healthy: {found}", "ocg status")

    def stop(self, *, force: bool = False) -> Iterator[Progress]:
        """See Manager."""
        with self._connect() as bus:
            watch = Watch(bus)
            for unit in watch.units.values():
                verdict.check_loaded(unit)
            if force:
                yield from watch.kill()
            try:
                for step in watch.follow(self._stop_jobs(bus)):
                    _forgive(bus, watch.units[step.service])
                    yield step
            except JobFailedError as error:
                raise OcgError(
                    Code.STOP_FAILED, f"the stop of {error}", f"see `systemctl status {error.name}`"
                ) from None
            for unit in watch.units.values():
                _forgive(bus, unit)

    def _stop_jobs(self, bus: Connection) -> set[str]:
        """Queue the stop of everything; systemd takes the order from After=."""
        there = bus.units(_UNITS)
        loaded = [name for name in _UNITS if there[name].properties["LoadState"] == "loaded"]
        return {str(bus.call("StopUnit", "ss", name, "replace")) for name in loaded}

    def reload(self) -> Iterator[Progress]:
        """See Manager."""
        with self._connect() as bus:
            watch = Watch(bus)
            running = [unit.service for unit in watch.units.values() if unit.is_active]
            if not running:
                raise not_running()
            jobs = {one: str(bus.call("ReloadUnit", "ss", f"{one}.service", "replace")) for one in running}
            try:
                yield from watch.reload(jobs)
            except JobFailedError as error:
                raise OcgError(
                    Code.UNAVAILABLE, f"the reload of {error}", f"ocg logs {error.name.removeprefix('ocg-')}"
                ) from None

    def status(self) -> Status:
        """See Manager."""
        with self._connect() as bus:
            units = units_of(bus)
            for unit in units.values():
                verdict.check_loaded(unit)
                unit.properties |= bus.service(unit.path)
        pids = {service: int(unit.properties["MainPID"]) if unit.is_active else None for service, unit in units.items()}
        states = {service: text for service, unit in units.items() if (text := verdict.state(unit))}
        return Status(pids, self._health(units), states)

    def _health(self, units: dict[str, Unit]) -> str:
        if not units[GATEWAY].is_active:
            return "ocg-gateway not running" if any(unit.is_active for unit in units.values()) else "not running"
        try:
            return health.check(GATEWAY, self._where(units[GATEWAY]))
        except OcgError as error:
            return error.message

    def _failed(self, watch: Watch, bus: Connection, error: JobFailedError, began: float) -> StartFailedError:
        return verdict.why_failed(error, watch.units, bus, lambda unit: self._journal(unit, began))

    def _journal(self, unit: str, since: float) -> tuple[str, ...]:
        """Return the last lines about a unit since, as far as this user may read them."""
        import subprocess  # noqa: PLC0415 - 5 ms, which `ocg status` has not

        option = "--user-unit" if self._user else "--unit"
        command = ["journalctl", "-q", "--no-pager", "-o", "cat", f"-n{_LOG_LINES}", f"--since=@{since:.3f}"]
        with suppress(OSError, subprocess.TimeoutExpired):
            done = subprocess.run(
                [*command, f"{option}={unit}"],
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
                timeout=10,
            )
            return tuple(done.stdout.splitlines())
        return ()


def _forgive(bus: Connection, unit: Unit) -> None:
    """Have a service that failed count as stopped, since that was asked for: our own SIGKILL is no failure of its."""
    if unit.state == "failed":
        with suppress(OcgError):
            bus.call("ResetFailedUnit", "s", f"{unit.service}.service")
            unit.properties |= {"ActiveState": "inactive", "SubState": "dead"}
