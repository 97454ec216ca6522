"""Confinement by bubblewrap: what a tool's process sees, and what it may do."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ocg.agent.confinement.programs import PACKAGES, ROOT, tool
from ocg.agent.workspace import FILES
from ocg.errors import Code, OcgError
from ocg.protocol.tooling import Cage

# What programs look for in /etc, and nobody's secrets: no private keys, no passwords, no settings of services.
_ETC = (
    "alternatives", "ca-certificates", "crypto-policies", "debian_version", "fonts", "gai.conf", "group", "host.conf",
    "hosts", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime", "magic", "mime.types", "nsswitch.conf",
    "os-release", "passwd", "pki/ca-trust", "pki/tls/cert.pem", "pki/tls/certs", "pki/tls/openssl.cnf", "protocols",
    "python3", "resolv.conf", "services", "ssl/cert.pem", "ssl/certs", "ssl/openssl.cnf", "timezone",
)  # fmt: skip
_TMP_BYTES = 512 << 20
_HELP_S = 10.0


class Bubblewrap:
    """Makes the command that runs a tool in a cage."""

    def __init__(self, workspace: Path, skills: Path) -> None:
        self._workspace = workspace
        self._skills = skills
        self._options: frozenset[str] = frozenset()

    async def command(self, cage: Cage, shows: Sequence[str]) -> Sequence[str]:
        """Return what is run for a cage that shows these folders too. Raises UNAVAILABLE where nothing would hold."""
        self._options = self._options or await _options()
        if cage is not Cage.RO:
            await asyncio.to_thread(_keep, self._workspace)
        return ["bwrap", *self._namespaces(cage), *self._files(cage, shows), *tool(self._workspace)]

    def _namespaces(self, cage: Cage) -> list[str]:
        return [
            "--die-with-parent", "--new-session", "--as-pid-1", "--cap-drop", "ALL",
            "--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-uts", "--unshare-cgroup-try",
            *([] if cage in {Cage.NET, Cage.EXT} else ["--unshare-net"]),
            *(["--disable-userns"] if "--disable-userns" in self._options else []),  # since 0.8
        ]  # fmt: skip

    def _files(self, cage: Cage, shows: Sequence[str]) -> list[str]:
        tmpfs = ["--size", str(_TMP_BYTES), "--tmpfs"] if "--size" in self._options else ["--tmpfs"]  # since 0.7
        words = ["--ro-bind", "/usr", "/usr", "--proc", "/proc", "--dev", "/dev"]
        for name in ("sys", "sysrq-trigger", "irq", "bus"):  # root of this machine may write to them, even in there
            words += ["--ro-bind-try", f"/proc/{name}", f"/proc/{name}"]
        for name in ("bin", "sbin", "lib", "lib32", "lib64"):
            words += _top(Path("/") / name)
        for name in _ETC:
            words += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
        for place in ("/tmp", "/var/tmp", "/dev/shm"):  # noqa: S108 - its own
            words += [*tmpfs, place]
        return [*words, *self._places(cage, shows), "--remount-ro", "/dev", "--remount-ro", "/"]

    def _places(self, cage: Cage, shows: Sequence[str]) -> list[str]:
        """Show the workspace, skills and OCG's program; whichever lies in another comes later, and so on top."""
        ours = {sys.prefix, sys.base_prefix, str(ROOT / "ocg"), *PACKAGES, *shows}
        places = {Path(path): "--ro-bind" for path in ours} | {
            self._skills: "--ro-bind-try",
            self._workspace: "--ro-bind" if cage is Cage.RO else "--bind",
        }
        places |= {self._workspace / name: "--ro-bind-try" for name in FILES}
        ordered = sorted(places, key=lambda path: len(path.parts))
        return [word for path in ordered for word in (places[path], str(path), str(path))]


def _top(path: Path) -> list[str]:
    """Show a folder of programs as it is here: a link into /usr on most systems."""
    if path.is_symlink():
        return ["--symlink", str(path.readlink()), str(path)]
    return ["--ro-bind-try", str(path), str(path)]


def _keep(workspace: Path) -> None:
    """Have the user's own files there, as only what is there can be kept from being written.

    Raises UNAVAILABLE when one is a link, in whose place a tool could put another.
    """
    for path in (workspace / name for name in FILES):
        if path.is_symlink():
            hint = "put the file itself there"
            raise OcgError(Code.UNAVAILABLE, f"{path} is a link, which tools could replace, so none is run", hint)
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


async def _options() -> frozenset[str]:
    """Return the options that the installed bubblewrap has."""
    process = await asyncio.create_subprocess_exec("bwrap", "--help", stdout=PIPE, stderr=STDOUT)
    async with asyncio.timeout(_HELP_S):
        said, _ = await process.communicate()
    return frozenset(said.decode().split())
