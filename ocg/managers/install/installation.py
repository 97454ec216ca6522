"""`ocg service install`: each step says what it did, and a second run changes nothing."""

import fcntl
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ocg.config import Common, gather
from ocg.errors import Code, OcgError
from ocg.lifecycle import pidfile
from ocg.managers import shipped
from ocg.managers.install import lingering, models, unitfile, unitset
from ocg.managers.install.files import Files, Say, make_folder
from ocg.managers.install.host import OWNER, TOOLS, Host
from ocg.managers.install.layout import Layout
from ocg.managers.install.program import Program

_ENABLED = ("ocg.target", "ocg-gateway.service", "ocg-agent.socket", "ocg-embedding.socket")


class Installation:
    """Writes what a manager needs, and starts nothing."""

    def __init__(self, layout: Layout, host: Host, program: Program, environ: Mapping[str, str], say: Say) -> None:
        self._layout = layout
        self._host = host
        self._program = program
        self._environ = environ
        self._say = say
        self._files = Files(say)
        self._systemctl = ("systemctl", "--user") if layout.is_user else ("systemctl",)

    def install(self) -> None:
        """Do it all. Raises CONFLICT when somebody else's files are in the way.

        A model that cannot be fetched is raised last, when all the rest is done.
        """
        self._refuse()
        make_folder(self._layout.units)
        failed: OcgError | None = None
        with _alone(self._layout.units):
            if self._layout.is_user:
                lingering.ensure(self._host, self._say)
            else:
                self._make_owner()
            self._make_settings()
            try:
                self._bring_models()
            except OcgError as error:
                failed = error
            if not self._layout.is_user:
                self._make_workspace()
            self._link()
            self._write_units()
            self._write_policy()
            self._enable()
        if failed:
            failed.hint += "; then the same command again"
            raise failed

    def _refuse(self) -> None:
        for folder in self._layout.packaged:
            if (folder / "ocg-agent.service").exists():
                raise OcgError(
                    Code.CONFLICT,
                    f"OCG's units are in {folder}: a package of your distribution brought them",
                    "there is nothing to install: systemctl enable --now ocg.target",
                )
        link = self._layout.link
        # The kernel's word, not a file's: anybody may put files into /tmp.
        if not link.is_symlink() and any(pidfile.holder(link, service) for service in pidfile.SERVICES):
            raise OcgError(
                Code.ALREADY_RUNNING,
                f"OCG's services run without systemd: their PID files are in {link}",
                "stop them first: ocg stop",
            )

    def _make_owner(self) -> None:
        if self._host.has_owner():
            self._say(f"kept the users and groups {OWNER} and {TOOLS}")
            return
        self._host.run("systemd-sysusers", str(shipped.system_files() / "ocg.sysusers.conf"))
        self._say(f"made the users and groups {OWNER} and {TOOLS}")

    def _make_settings(self) -> None:
        file = self._layout.settings
        make_folder(file.parent)
        if self._layout.is_user:
            file.parent.chmod(0o700)
        if file.exists():
            self._say(f"kept {file}")
            if not self._layout.is_user:
                self._host.own(file, "root", mode=0o640)

    def _bring_models(self) -> None:
        layout = self._layout
        places = {"CONFIGURATION_DIRECTORY": str(layout.config), "STATE_DIRECTORY": str(layout.data)}
        folder = gather(Common, {}, places).models_dir if layout.is_user else layout.models
        make_folder(folder.parent, mode=0o700)
        make_folder(folder, mode=0o700)
        if not layout.is_user:
            self._host.own(folder.parent, OWNER, mode=0o710)  # its group reads the token in it, and lists nothing
            self._host.own(folder, OWNER, mode=0o700)
        models.bring(folder, models.sources(self._environ), self._say)

    def _make_workspace(self) -> None:
        """Have systemd-tmpfiles make the folder that tools and the agent share, or an older one such a folder."""
        folder = self._layout.data / "workspace"
        if folder.is_dir() and folder.stat().st_mode & stat.S_ISVTX:
            self._say(f"kept {folder}")
            return
        rules = str(shipped.system_files() / "ocg-package.tmpfiles.conf")
        try:
            self._host.run("systemd-tmpfiles", "--create", f"--prefix={folder}", rules)
        except OcgError as error:
            self._say(f"did not share {folder} with the group {TOOLS}, so there are no tools: {error.message}")
        else:
            self._say(f"shared {folder} with the group {TOOLS}")

    def _write_units(self) -> None:
        texts = unitset.texts(self._layout, self._host, self._program)
        for path, text in texts.items():
            self._files.write(path, text)
        for path in [one for one in self._files.ours(self._layout.units) if one not in texts]:
            self._files.remove(path)

    def _link(self) -> None:
        """Have systemd-tmpfiles make the contract's /tmp/ocg, now and at each boot.

        Of several users with an OCG of their own one has it.
        """
        link, target, file = self._layout.link, self._layout.runtime, self._layout.tmpfiles
        shipped_file = shipped.system_files() / "ocg.tmpfiles.conf"
        if link.is_symlink() and link.readlink() == target:
            self._say(f"kept the link {link}")
        else:
            scope = ("--user",) if self._layout.is_user else ()
            try:
                self._host.run("systemd-tmpfiles", *scope, "--create", str(shipped_file))
            except OcgError as error:
                self._say(f"made no link {link}: {error.message}")
                if self._files.is_ours(file):
                    self._files.remove(file)
                return
            self._say(f"linked {link} to {target}")
        self._files.write(file, shipped_file.read_text(encoding="utf-8"))

    def _write_policy(self) -> None:
        folder = shipped.system_files()
        if policy := self._layout.policy:
            self._files.write(policy, (folder / policy.name).read_text(encoding="utf-8"), comment="//")
        if catalogs := self._layout.catalogs:
            texts = {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.catalog"))}
            written = [self._files.write(catalogs / name, text) for name, text in texts.items()]
            if any(written):
                self._host.run("journalctl", "--update-catalog")
                self._say("updated the journal's catalog")

    def _enable(self) -> None:
        if self._host.is_booted:
            self._host.run(*self._systemctl, "daemon-reload")
            self._check()
        units = [self._layout.units / name for name in _ENABLED if (self._layout.units / name).exists()]
        links = [
            link
            for path in units
            for link in unitfile.links(path.read_text(encoding="utf-8"), path.name, self._layout.units)
        ]
        if all(link.is_symlink() for link in links):
            self._say(f"kept {', '.join(path.name for path in units)} enabled")
            return
        self._host.run(*self._systemctl, "enable", *(path.name for path in units))
        self._say(f"enabled {', '.join(path.name for path in units)}")

    def _check(self) -> None:
        """Run our `ocg` as the services will be run: a unit of this name gets the drop-ins of ocg-.service.d."""
        if self._layout.is_user:
            return
        script = self._program.scripts / "ocg"
        command = ("systemd-run", "--unit=ocg-check", "--quiet", "--collect", "--wait", "--pipe", str(script))
        try:
            self._host.run(*command, "--version")
        except OcgError as error:
            why, roots = error.message.rpartition(" failed: ")[2], map(str, self._program.roots())
            raise OcgError(
                Code.UNSAFE_PATH,
                f"the user {OWNER} cannot run {script}: {why}",
                f"let everybody read what is in {' and '.join(roots)}, or install OCG below /opt",
            ) from None
        self._say(f"the user {OWNER} can run {script}")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep a second installation away until this one is done."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
