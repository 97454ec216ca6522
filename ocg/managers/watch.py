"""What becomes of the three services while systemd's jobs run, from its signals; and the ladder, where one hangs."""

import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from ocg.errors import Code, OcgError
from ocg.managers.base import SERVICES, Phase, Progress
from ocg.managers.bus import Bus, JobRemoved, UnitChanged
from ocg.managers.process import RUNG_S

# systemd ends each job itself (TimeoutStartSec=, TimeoutStopSec=); this is for a systemd that says nothing more.
_SILENCE_S = 300.0
_ACTIVE = frozenset({"active", "reloading"})
_KILLED = 2  # CLD_KILLED, in ExecMainCode


class JobFailedError(Exception):
    """A service's job did not end well: `result` is the job's."""

    def __init__(self, service: str, result: str) -> None:
        super().__init__(f"{service}: {result}")
        self.service = service
        self.result = result


@dataclass(slots=True)
class Unit:
    """A service as systemd sees it; `failure` are its properties when it last failed."""

    service: str
    path: str
    properties: dict[str, Any]
    failure: dict[str, Any] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)
    rung: signal.Signals = signal.SIGTERM

    @property
    def state(self) -> str:
        """ActiveState."""
        return str(self.properties["ActiveState"])

    @property
    def is_active(self) -> bool:
        """Whether it serves."""
        return self.state in _ACTIVE

    @property
    def said(self) -> str:
        """What the service said last of itself."""
        return str(self.properties.get("StatusText", ""))

    @property
    def where(self) -> str:
        """Where it serves, as it said when it became ready."""
        return self.said.removeprefix("Serving at ").partition(";")[0]

    @property
    def seconds(self) -> float:
        """How long it has been on its way."""
        return time.monotonic() - self.began

    @property
    def ended_by(self) -> str:
        """The signal that ended it: the rung we had reached, or systemd's own SIGKILL at TimeoutStopSec=."""
        killed = self.properties.get("ExecMainCode") == _KILLED
        return signal.Signals(self.properties["ExecMainStatus"]).name if killed else self.rung.name

    def due(self) -> float:
        """When the next rung of the ladder is due."""
        if self.state != "deactivating" or self.rung is signal.SIGKILL:
            return float("inf")
        return self.began + (RUNG_S if self.rung is signal.SIGTERM else 2 * RUNG_S)


def units_of(bus: Bus) -> dict[str, Unit]:
    """Look up the three services, by name."""
    found = bus.units([f"{service}.service" for service in SERVICES])
    rows = {service: found[f"{service}.service"] for service in SERVICES}
    return {service: Unit(service, row.path, row.properties) for service, row in rows.items()}


class Watch:
    """Follows the three services from now on."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        bus.subscribe()
        self.units = units_of(bus)
        self._by_path = {unit.path: unit for unit in self.units.values()}

    def follow(self, jobs: set[str], *, with_dependencies: bool = False) -> Iterator[Progress]:
        """Tell what happens until all these jobs are over.

        Raises JobFailedError when one of them goes wrong, or, `with_dependencies`, one that they brought about.
        """
        left = set(jobs)
        while left:
            deadline = min(time.monotonic() + _SILENCE_S, *(unit.due() for unit in self.units.values()))
            match self._bus.wait(deadline):
                case None:
                    self._climb()
                case UnitChanged() as change if change.path in self._by_path:
                    yield from self._changed(self._by_path[change.path], change.properties)
                case JobRemoved() as job:
                    service = job.unit.removesuffix(".service")
                    counts = job.path in left or (with_dependencies and service in self.units)
                    left.discard(job.path)
                    if counts and job.result not in {"done", "skipped"}:
                        raise JobFailedError(service, job.result)

    def kill(self) -> None:
        """Send SIGKILL to all that runs."""
        for unit in self.units.values():
            if unit.is_active or unit.state == "deactivating":
                self._send(unit, signal.SIGKILL)

    def _changed(self, unit: Unit, properties: dict[str, Any]) -> Iterator[Progress]:
        before, said = unit.state, unit.said
        unit.properties |= properties
        if unit.properties.get("Result", "success") != "success":
            unit.failure = dict(unit.properties)
        if unit.state != before:
            yield from self._moved(unit, before)
        elif unit.state == "activating" and unit.said != said:
            yield Progress(unit.service, Phase.STARTING, unit.seconds, unit.said)

    def _moved(self, unit: Unit, before: str) -> Iterator[Progress]:
        if unit.is_active:
            if before not in _ACTIVE:
                # systemd tells of READY=1 before it has read the STATUS= beside it.
                unit.properties |= self._bus.service(unit.path)
                yield Progress(unit.service, Phase.READY, unit.seconds, unit.where)
        elif unit.state == "deactivating":
            unit.began, unit.rung = time.monotonic(), signal.SIGTERM
            yield Progress(unit.service, Phase.STOPPING)
        elif unit.state == "activating":
            unit.began = time.monotonic()
            yield Progress(unit.service, Phase.STARTING)
        elif before == "deactivating" or before in _ACTIVE:
            yield Progress(unit.service, Phase.STOPPED, unit.seconds, unit.ended_by)

    def _climb(self) -> None:
        """Send the signals that are due. Raises TIMEOUT when none is, since then systemd has fallen silent."""
        due = [unit for unit in self.units.values() if unit.due() <= time.monotonic()]
        if not due:
            raise OcgError(
                Code.TIMEOUT, f"systemd says nothing more for {_SILENCE_S:.0f} s", "see `systemctl list-jobs`"
            )
        for unit in due:
            self._send(unit, signal.SIGINT if unit.rung is signal.SIGTERM else signal.SIGKILL)

    def _send(self, unit: Unit, rung: signal.Signals) -> None:
        unit.rung = rung
        whom = "all" if rung is signal.SIGKILL else "main"
        with suppress(OcgError):  # it may have ended, or polkit may not let us: TimeoutStopSec= is there for that
            self._bus.call("KillUnit", "ssi", f"{unit.service}.service", whom, int(rung))
