"""What becomes of the three services while systemd's jobs run, from its signals; and the ladder, where one hangs."""

import signal
import time
from collections.abc import Iterator
from typing import Any

from ocg.errors import Code, OcgError
from ocg.managers.base import Phase, Progress
from ocg.managers.bus import JobRemoved, Signal, UnitChanged
from ocg.managers.unit import Connection, Unit, units_of

# systemd ends each job itself (TimeoutStartSec=, TimeoutStopSec=); this is for a systemd that says nothing more.
_SILENCE_S = 300.0
_KILL_S = 1.0
_RELOAD_S = 5.0
_SETTLED_S = 0.3
_GOOD = frozenset({"done", "skipped"})
_DOWN = frozenset({"inactive", "failed", "waiting"})


class JobFailedError(Exception):
    """A unit's job did not end well: `result` is the job's; `name` is the service's, or else the unit's."""

    def __init__(self, name: str, result: str) -> None:
        super().__init__(f"{name}: {result}")
        self.name = name
        self.result = result


class Watch:
    """Follows the three services from now on."""

    def __init__(self, bus: Connection) -> None:
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
                case JobRemoved() as job:
                    service = job.unit.removesuffix(".service")
                    counts = job.path in left or (with_dependencies and service in self.units)
                    left.discard(job.path)
                    if counts and job.result not in _GOOD:
                        raise JobFailedError(service, job.result)
                case change:
                    yield from self._read(change)

    def kill(self) -> Iterator[Progress]:
        """Send SIGKILL to all that runs, and wait until systemd knows: what ends before its stop has not failed."""
        killed = [unit for unit in self.units.values() if unit.has_processes and self._send(unit, signal.SIGKILL)]
        for unit in killed:
            unit.began = time.monotonic()
        deadline = time.monotonic() + _KILL_S
        while any(unit.has_processes for unit in killed) and (change := self._bus.wait(deadline)):
            yield from self._read(change)

    def reload(self, jobs: dict[str, str]) -> Iterator[Progress]:
        """Follow reload jobs, by service, until each service has said what came of it.

        A job is over once the signal is sent; the service's RELOADING=1 comes before that or just after.
        """
        left, end = set(jobs.values()), time.monotonic() + _RELOAD_S
        while True:
            busy = [service for service in jobs if jobs[service] in left or self.units[service].state == "reloading"]
            match self._bus.wait(end if busy else min(end, time.monotonic() + _SETTLED_S)):
                case None if busy:
                    raise OcgError(Code.TIMEOUT, f"{busy[0]} did not reload within {_RELOAD_S:.0f} s", "ocg logs")
                case None:
                    break
                case JobRemoved() as job:
                    if job.path in left and job.result not in _GOOD:
                        raise JobFailedError(job.unit.removesuffix(".service"), job.result)
                    left.discard(job.path)
                case change:
                    yield from self._read(change)
        for unit in map(self.units.__getitem__, jobs):
            unit.properties |= self._bus.service(unit.path)
            yield Progress(unit.service, Phase.RELOADED, unit.seconds, unit.remark)

    def _read(self, change: Signal) -> Iterator[Progress]:
        """Take in a signal about one of the three."""
        if isinstance(change, UnitChanged) and (unit := self._by_path.get(change.path)):
            yield from self._changed(unit, change.properties)

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
            if before not in {"active", "reloading"}:
                # systemd tells of READY=1 before it has read the STATUS= beside it.
                unit.properties |= self._bus.service(unit.path)
                yield Progress(unit.service, Phase.READY, unit.seconds, unit.where)
        elif unit.state == "deactivating":
            unit.began, unit.rung = time.monotonic(), signal.SIGTERM
            yield Progress(unit.service, Phase.STOPPING)
        elif unit.state == "activating":
            unit.began = time.monotonic()
            yield Progress(unit.service, Phase.STARTING)
        elif before not in _DOWN and (before != "activating" or unit.rung is signal.SIGKILL):
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

    def _send(self, unit: Unit, rung: signal.Signals) -> bool:
        """Send a signal; whether we may. Where polkit does not let us, TimeoutStopSec= is there."""
        unit.rung = rung
        whom = "all" if rung is signal.SIGKILL else "main"
        try:
            self._bus.call("KillUnit", "ssi", f"{unit.service}.service", whom, int(rung))
        except OcgError as error:
            # Else it has ended by now, or some of its processes have: a failure, though the others got the signal.
            return error.code is not Code.FORBIDDEN
        return True
