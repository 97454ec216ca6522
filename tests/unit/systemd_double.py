"""A systemd that tells what a test wants it to tell: it implements ocg.managers.unit.Connection."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from ocg.errors import OcgError
from ocg.managers.base import SERVICES
from ocg.managers.bus import JobRemoved, Signal, UnitChanged

_OTHERS = ("ocg.target", "ocg-agent.socket", "ocg-embedding.socket")
# What a call brings about: signals, or the error that it ends with.
Reaction = Callable[[tuple[Any, ...]], Sequence[Signal] | OcgError]


@dataclass
class Clock:
    """Time that passes when somebody waits in vain."""

    now: float = 1000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now


def job_of(unit: str) -> str:
    """The path of a unit's job."""
    return f"/job/{unit}"


def changed(service: str, state: str, **more: Any) -> UnitChanged:
    """A service's unit takes on a state."""
    return UnitChanged(f"/unit/{service}.service", {"ActiveState": state, "SubState": state, **more})


def over(unit: str, result: str = "done") -> JobRemoved:
    """A unit's job is over."""
    return JobRemoved(job_of(unit), unit, result)


@dataclass
class Systemd:
    """`states` are those of the services at first; `react` says what calls bring about."""

    clock: Clock
    states: dict[str, str] = field(default_factory=dict)
    load: dict[str, str] = field(default_factory=dict)
    told: dict[str, dict[str, Any]] = field(default_factory=dict)
    react: dict[str, Reaction] = field(default_factory=dict)
    calls: list[tuple[Any, ...]] = field(default_factory=list)
    signals: deque[Signal] = field(default_factory=deque)
    later: list[tuple[float, Signal]] = field(default_factory=list)

    @contextmanager
    def connect(self) -> Iterator["Systemd"]:
        yield self

    def call(self, method: str, signature: str = "", *values: Any) -> Any:  # noqa: ARG002 - the real one needs it
        self.calls.append((method, *values))
        unit = str(values[0]) if values else ""
        reaction = self.react[method](values) if method in self.react else ()
        if isinstance(reaction, OcgError):
            raise reaction
        self.signals.extend(reaction)
        return job_of(unit)

    def units(self, names: Sequence[str]) -> dict[str, UnitChanged]:
        return {name: self._unit(name) for name in names}

    def _unit(self, name: str) -> UnitChanged:
        state = self.states.get(name.removesuffix(".service"), "inactive")
        load = self.load.get(name, "loaded")
        return UnitChanged(f"/unit/{name}", {"LoadState": load, "ActiveState": state, "SubState": state})

    def service(self, path: str) -> dict[str, Any]:
        nothing = {"MainPID": 0, "StatusText": "", "Result": "success", "ExecMainCode": 0, "ExecMainStatus": 0}
        return nothing | self.told.get(path.rpartition("/")[2].removesuffix(".service"), {})

    def subscribe(self) -> None:
        self.calls.append(("Subscribe",))

    def wait(self, deadline: float) -> Signal | None:
        if self.signals:
            return self.signals.popleft()
        self.later.sort(key=lambda one: one[0])
        if self.later and self.later[0][0] <= deadline:
            self.clock.now, signal = self.later.pop(0)
            return signal
        self.clock.now = deadline
        return None

    def sent(self, method: str) -> list[tuple[Any, ...]]:
        """What a method was called with."""
        return [call[1:] for call in self.calls if call[0] == method]


def started(*services: str) -> list[Signal]:
    """What systemd tells while services start, one after the other."""
    found: list[Signal] = []
    for service in services or SERVICES:
        found += [changed(service, "activating"), changed(service, "active"), over(f"{service}.service")]
    return found


def refused(service: str, **properties: Any) -> list[Signal]:
    """What systemd tells when a service does not come up."""
    return [
        changed(service, "activating"),
        changed(service, "failed", **properties),
        over(f"{service}.service", "failed"),
    ]
