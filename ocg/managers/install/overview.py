"""`ocg service show`: what is installed, from where, and where everything lies."""

import re
from dataclasses import dataclass
from pathlib import Path

from ocg.errors import OcgError
from ocg.managers import shipped
from ocg.managers.bus import Bus
from ocg.managers.install.host import Host
from ocg.managers.install.layout import Layout
from ocg.managers.install.port import SOCKET

_LISTEN = re.compile(r"^ListenStream=(\d+\.\d+\.\d+\.\d+:\d+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class UnitState:
    """A unit as its manager sees it; without a bus, as its file says, with the states unknown."""

    unit: str
    path: str
    enabled: str
    active: str
    drop_ins: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Overview:
    """All there is to show."""

    manager: str
    units: tuple[UnitState, ...]
    lingering: bool | None
    config: str
    data: str
    runtime: str
    agent_socket: str
    embedding_socket: str

    @property
    def is_installed(self) -> bool:
        """Whether there is anything."""
        return any(one.path for one in self.units)


def look(layout: Layout, host: Host) -> Overview:
    """Gather it."""
    units = _states(layout) if host.is_booted else None
    if units is None:
        units = tuple(_on_disk(layout, name) for name in _names(layout))
    return Overview(
        manager="user" if layout.is_user else "system",
        units=units,
        lingering=host.lingers() if layout.is_user else None,
        config=str(layout.settings),
        data=str(layout.data),
        runtime=str(layout.runtime),
        agent_socket=str(layout.runtime / "agent.sock"),
        embedding_socket=_listens(units),
    )


def _names(layout: Layout) -> tuple[str, ...]:
    folder = shipped.units()
    found = [*folder.glob("ocg*.*"), *(() if layout.is_user else folder.glob("system/ocg*.*"))]
    return tuple(sorted(path.name for path in found if path.is_file()))


def _states(layout: Layout) -> tuple[UnitState, ...] | None:
    """Ask the manager; None when it cannot be reached."""
    try:
        with Bus(user=layout.is_user) as bus:
            return tuple(_state(bus, name) for name in _names(layout))
    except OcgError:
        return None


def _state(bus: Bus, name: str) -> UnitState:
    # A template has properties only as an instance.
    unit = name.replace("@.", "@show.")
    path = bus.get(unit, "FragmentPath")
    active = "" if unit != name else bus.get(unit, "ActiveState")
    file_state = bus.call("GetUnitFileState", "s", name) if path else ""
    return UnitState(name, path, file_state, active, tuple(bus.get(unit, "DropInPaths", signature="as")))


def _on_disk(layout: Layout, name: str) -> UnitState:
    folders = (layout.units, *layout.packaged)
    path = next((folder / name for folder in folders if (folder / name).exists()), None)
    drop_ins = tuple(map(str, sorted(layout.units.glob(f"{name}.d/*.conf"))))
    return UnitState(name, str(path or ""), "unknown" if path else "", "unknown" if path else "", drop_ins)


def _listens(units: tuple[UnitState, ...]) -> str:
    """Find the port of ocg-embedding.socket: the last word that its files have on it."""
    paths = [place for one in units if one.unit == SOCKET and one.path for place in (one.path, *one.drop_ins)]
    found = [port for path in paths for port in _LISTEN.findall(Path(path).read_text(encoding="utf-8"))]
    return found[-1] if found else ""
