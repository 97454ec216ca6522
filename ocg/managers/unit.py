"""A service as systemd sees it: its properties, and what they mean to us."""

import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ocg.managers.base import SERVICES
from ocg.managers.bus import Signal, UnitChanged
from ocg.managers.process import RUNG_S

_ACTIVE = frozenset({"active", "reloading"})
_KILLED = 2  # CLD_KILLED, in ExecMainCode
_SERVES = "Serving at "


class Connection(Protocol):
    """What we ask of systemd; `bus.Bus` does."""

    def call(self, method: str, signature: str = "", *values: Any) -> Any:
        """Call a method of its manager. Raises what stands in the way, with the remedy."""

    def units(self, names: Sequence[str]) -> dict[str, UnitChanged]:
        """Look units up, by name."""

    def service(self, path: str) -> dict[str, Any]:
        """Look up what a service's unit says of its process."""

    def subscribe(self) -> None:
        """Collect signals from now on."""

    def wait(self, deadline: float) -> Signal | None:
        """Return the next signal; None when there is none by then (time.monotonic)."""


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
        """ActiveState; `waiting` where systemd will start it again after a failure."""
        return "waiting" if self.properties.get("SubState") == "auto-restart" else str(self.properties["ActiveState"])

    @property
    def is_active(self) -> bool:
        """Whether it serves."""
        return self.state in _ACTIVE

    @property
    def has_processes(self) -> bool:
        """Whether anything of it runs."""
        return self.state in {*_ACTIVE, "activating", "deactivating"}

    @property
    def said(self) -> str:
        """What the service said last of itself."""
        return str(self.properties.get("StatusText", ""))

    @property
    def where(self) -> str:
        """Where it serves, as it said when it became ready; empty when it has said something else since."""
        return self.said.removeprefix(_SERVES).partition("; ")[0] if self.said.startswith(_SERVES) else ""

    @property
    def remark(self) -> str:
        """What the last reload could not take over."""
        return self.said.partition("; ")[2]

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


def units_of(bus: Connection) -> dict[str, Unit]:
    """Look up the three services, by name."""
    found = bus.units([f"{service}.service" for service in SERVICES])
    rows = {service: found[f"{service}.service"] for service in SERVICES}
    return {service: Unit(service, row.path, row.properties) for service, row in rows.items()}
