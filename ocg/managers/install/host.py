"""What an installation does to the machine besides writing files, behind one interface."""

import grp
import os
import pwd
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from ocg.errors import Code, OcgError
from ocg.lifecycle import sockets
from ocg.managers.bus import Bus, lingers

OWNER, TOOLS = "ocg", "ocg-tool"
_TIMEOUT_S = 120.0


class Host(Protocol):
    """The machine, as far as an installation needs it."""

    is_booted: bool
    user_name: str

    def run(self, *command: str) -> None:
        """Run a program for what it does. Raises UNAVAILABLE with what it said when it fails."""

    def own(self, path: Path, user: str, *, mode: int) -> None:
        """Give a file or folder to a user and to the group ocg."""

    def has_owner(self) -> bool:
        """Whether the users ocg and ocg-tool are there, and the one reads what the other writes."""

    def has_manager(self) -> bool:
        """Whether the user's manager runs."""

    def is_active(self, unit: str) -> bool:
        """Whether a unit runs."""

    def lingers(self) -> bool:
        """Whether the user's manager lasts over logins."""

    def is_free(self, port: int) -> bool:
        """Whether nobody listens on a port of 127.0.0.1."""


class Machine:
    """The machine we run on."""

    def __init__(self, *, user: bool, environ: Mapping[str, str]) -> None:
        self._user = user
        self.user_name = pwd.getpwuid(os.getuid()).pw_name
        # Where `systemctl --user` finds its manager; a login by su or cron does not set it.
        self._runtime = Path(environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}")
        self._environ = {**environ, "XDG_RUNTIME_DIR": str(self._runtime)} if user else dict(environ)
        self.is_booted = Path("/run/systemd/system").is_dir()

    def run(self, *command: str) -> None:
        """See Host."""
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=self._environ,
                timeout=_TIMEOUT_S,
                check=False,
            )
        except FileNotFoundError:
            raise OcgError(Code.UNAVAILABLE, f"there is no {command[0]} here", "OCG needs systemd for this") from None
        except subprocess.TimeoutExpired:
            raise OcgError(Code.TIMEOUT, f"`{' '.join(command)}` took over {_TIMEOUT_S:.0f} s") from None
        if done.returncode:
            said = done.stdout.decode("utf-8", "replace").strip().splitlines()
            why = said[-1] if said else f"exit status {done.returncode}"
            raise OcgError(Code.UNAVAILABLE, f"`{' '.join(command)}` failed: {why}")

    def own(self, path: Path, user: str, *, mode: int) -> None:
        """See Host; a link is not followed, since a folder of the user ocg's may hold one."""
        owner = pwd.getpwnam(user)
        group = pwd.getpwnam(OWNER).pw_gid
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            os.fchown(descriptor, owner.pw_uid, group)
            os.fchmod(descriptor, mode)
        finally:
            os.close(descriptor)

    def has_owner(self) -> bool:
        """See Host."""
        with suppress(KeyError):
            return bool(pwd.getpwnam(OWNER)) and OWNER in grp.getgrnam(TOOLS).gr_mem
        return False

    def has_manager(self) -> bool:
        """See Host."""
        return (self._runtime / "systemd/private").exists()

    def is_active(self, unit: str) -> bool:
        """See Host."""
        try:
            with Bus(user=self._user) as bus:
                return bus.get(unit, "ActiveState") in {"active", "reloading", "activating", "deactivating"}
        except OcgError:
            return False

    def lingers(self) -> bool:
        """See Host."""
        return lingers(os.getuid())

    def is_free(self, port: int) -> bool:
        """See Host."""
        try:
            sockets.listen_tcp("127.0.0.1", (port,), key="").close()
        except OcgError:
            return False
        return True
