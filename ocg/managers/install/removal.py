"""`ocg service uninstall`: stops, disables, and takes away what an installation wrote; what a user wrote stays."""

import shutil
from contextlib import suppress
from pathlib import Path

from ocg.errors import OcgError
from ocg.managers.install import lingering
from ocg.managers.install.files import Files, Say
from ocg.managers.install.host import Host
from ocg.managers.install.layout import Layout


class Removal:
    """Undoes an installation; settings and data stay unless they are purged."""

    def __init__(self, layout: Layout, host: Host, say: Say) -> None:
        self._layout = layout
        self._host = host
        self._say = say
        self._files = Files(say)
        self._systemctl = ("systemctl", "--user") if layout.is_user else ("systemctl",)

    def uninstall(self, *, purge: bool) -> None:
        """Do it; without anything to do, say so. Raises UNAVAILABLE when a user's manager cannot be told."""
        layout = self._layout
        if layout.is_user:
            lingering.require_manager(self._host)
        ours = list(self._files.ours(layout.units))
        others = [path for path in self._others() if self._files.is_ours(path)]
        if ours or others:
            self._stop([path.name for path in ours if path.parent == layout.units and "@" not in path.name])
            for path in (*ours, *others):
                self._files.remove(path)
            self._unlink()
            if layout.catalogs:
                self._host.run("journalctl", "--update-catalog")
            if self._host.is_booted:
                self._host.run(*self._systemctl, "daemon-reload")
        else:
            self._say(f"nothing of OCG's is in {layout.units}")
        for path in sorted(layout.units.glob("ocg*.d/*")):
            self._say(f"kept {path}, which is yours")
        self._purge(purge=purge)

    def _others(self) -> list[Path]:
        layout = self._layout
        catalogs = sorted(layout.catalogs.glob("ocg.*")) if layout.catalogs else []
        return [layout.tmpfiles, *([layout.policy] if layout.policy else []), *catalogs]

    def _stop(self, units: list[str]) -> None:
        if not units:
            return
        if self._host.is_booted:
            self._host.run(*self._systemctl, "stop", *units)
            self._say(f"stopped {', '.join(units)}")
            with suppress(OcgError):  # none of them has failed
                self._host.run(*self._systemctl, "reset-failed", *units)
        self._host.run(*self._systemctl, "disable", *units)
        self._say("disabled them")

    def _unlink(self) -> None:
        """Remove what systemd made for the units, and would lose at the next boot anyway."""
        link, runtime = self._layout.link, self._layout.runtime
        if link.is_symlink() and link.readlink() == runtime:
            link.unlink()
            self._say(f"removed {link}")
        self._delete(runtime)

    def _purge(self, *, purge: bool) -> None:
        layout = self._layout
        for folder in (layout.config, layout.data, *layout.leftovers):
            if folder.exists() and not purge:
                self._say(f"kept {folder}")
            elif folder.exists():
                self._delete(folder)
        if not layout.is_user and self._host.has_owner():
            self._say("kept the users ocg and ocg-tool; to remove them: userdel ocg; userdel ocg-tool")

    def _delete(self, folder: Path) -> None:
        if folder.is_symlink():
            self._say(f"kept {folder}, which is a link")
        elif folder.exists():
            shutil.rmtree(folder)
            self._say(f"deleted {folder}")
