"""The units and drop-ins as they are written for one place."""

from pathlib import Path

from ocg.managers import shipped
from ocg.managers.install import port, unitfile
from ocg.managers.install.host import Host
from ocg.managers.install.layout import Layout
from ocg.managers.install.program import Program

_OWN = "30-install.conf"
_PRIVATE = """\
# As the folder is made: systemd warns at each start when it finds another mode than it would give it.
[Service]
ConfigurationDirectoryMode=0700
"""
_LINKED = """\
# It makes /tmp/ocg anew after a boot. Where it is not enabled, as on Debian, no user's tmpfiles.d is read, else.
[Unit]
Wants=systemd-tmpfiles-setup.service
"""


def texts(layout: Layout, host: Host, program: Program) -> dict[Path, str]:
    """Return what each file is to hold. Raises PORT_IN_USE when there is no port for ocg-embedding."""
    folder, target = shipped.units(), layout.units
    found = {target / path.name: path for path in sorted(folder.glob("*.*"))}
    if not layout.is_user:
        system = folder / "system"
        found |= {target / path.relative_to(system): path for path in sorted(system.rglob("*.*"))}
    rendered = {
        place: unitfile.rendered(path.read_text(encoding="utf-8"), program.scripts)
        for place, path in found.items()
        if path.is_file()
    }
    own = _for_user(layout) if layout.is_user else _for_system(layout, host, program)
    return {place: text for place, text in (rendered | own).items() if text}


def _for_user(layout: Layout) -> dict[Path, str]:
    return {
        layout.units / "ocg-.service.d" / _OWN: _PRIVATE,
        layout.units / "ocg.target.d" / _OWN: _LINKED if layout.tmpfiles.exists() else "",
    }


def _for_system(layout: Layout, host: Host, program: Program) -> dict[Path, str]:
    on_port = layout.units / f"{port.SOCKET}.d" / _OWN
    before = on_port.read_text(encoding="utf-8") if on_port.exists() else ""
    return {
        on_port: port.drop_in(port.choose(host, before)),
        layout.units / "ocg-.service.d" / _OWN: program.drop_in(),
    }
