"""Confinement by bubblewrap: what a tool's process sees, and what it may do."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import Sequence
from pathlib import Path

from ocg.agent.confinement import seccomp
from ocg.agent.confinement.programs import PACKAGES, PYTHON, ROOT, Command, tool
from ocg.agent.workspace import FILES
from ocg.errors import Code, OcgError
from ocg.protocol.tooling import SERVERS_OWN, Cage

# What programs look for in /etc, and nobody's secrets: no private keys, no passwords, no settings of services. Each
# takes 0.2 ms, so that what programs can do without is not among them.
_ETC = (
    "alternatives", "ca-certificates/extracted", "crypto-policies", "fonts", "group", "hosts", "ld.so.cache",
    "localtime", "mime.types", "nsswitch.conf", "os-release", "passwd", "pki/ca-trust", "pki/tls/cert.pem",
    "pki/tls/certs", "pki/tls/openssl.cnf", "resolv.conf", "services", "ssl/cert.pem", "ssl/certs", "ssl/openssl.cnf",
)  # fmt: skip
_PROGRAMS = ("/bin", "/sbin", "/lib", "/lib32", "/lib64")
# Root may write to them, even in there: the kernel goes by who is root outside.
_ROOTS = ("/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus")
_TMP_BYTES = 512 << 20
_HELP_S = 10.0


class Bubblewrap:
    """Makes the command that runs a tool in a cage. What is `hidden` is empty there, whatever a call shows.

    What is `readable` can be read where it is there at all, be it in what is hidden.
    """

    def __init__(self, workspace: Path, hidden: Sequence[Path] = (), readable: Sequence[Path] = ()) -> None:
        self._workspace = workspace
        self._hidden = hidden
        self._readable = readable
        self._options: frozenset[str] = frozenset()
        self._filter = seccomp.program(os.uname().machine)

    async def command(self, cage: Cage, shows: Sequence[str]) -> Command:
        """Return what is run for a cage that shows these folders too. Raises UNAVAILABLE where nothing would hold."""
        self._options = self._options or await _options()
        if cage is not Cage.RO:
            await asyncio.to_thread(_keep, self._workspace)
        words = ["bwrap", *self._namespaces(cage), *self._files(cage, shows)]
        if not self._filter:
            return Command([*words, *tool(self._workspace)])
        read = _readable(self._filter)
        return Command([*words, "--seccomp", str(read), *tool(self._workspace)], descriptors=(read,))

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
        for path in (*_PROGRAMS, *(f"/etc/{name}" for name in _ETC), *(_ROOTS if os.geteuid() == 0 else ())):
            words += _as_it_is(Path(path))
        for path in ("/tmp", "/dev/shm"):  # noqa: S108 - its own
            words += [*tmpfs, path]
        words += ["--symlink", "/tmp", "/var/tmp"]  # noqa: S108 - as above
        return [*words, *self._places(cage, shows), "--remount-ro", "/dev", "--remount-ro", "/"]

    def _places(self, cage: Cage, shows: Sequence[str]) -> list[str]:
        """Show the workspace, skills and OCG's program; whichever lies in another comes later, and so on top."""
        ours = {Path(path) for path in (str(PYTHON.parents[1]), sys.base_prefix, f"{ROOT}/ocg", *PACKAGES, *shows)}
        places = {path: "--ro-bind" for path in ours if not self._is_shown(path, ours)}
        places |= dict.fromkeys(self._readable, "--ro-bind-try")
        places[self._workspace] = "--ro-bind" if cage is Cage.RO else "--bind"
        if cage is not Cage.RO:
            places |= {self._workspace / name: "--ro-bind" for name in FILES}
        # What MCP servers keep, too: programs that run with the network, and keys.
        hidden = [*self._hidden, *([] if cage is Cage.EXT else [self._workspace / SERVERS_OWN])]
        shown = places.keys()
        hidden = [path for path in hidden if path.is_dir() and not shown.isdisjoint((path, *path.parents))]
        places |= dict.fromkeys(hidden, "--tmpfs")
        words = []
        for path in sorted(places, key=lambda path: len(path.parts)):
            words += [places[path], str(path)] if places[path] == "--tmpfs" else [places[path], str(path), str(path)]
        return words + [word for path in hidden for word in ("--remount-ro", str(path))]

    def _is_shown(self, path: Path, places: set[Path]) -> bool:
        """Say whether a place comes with another, and nothing that tools write to is between the two."""
        comes_along = path.is_relative_to("/usr") or not places.isdisjoint(path.parents)
        return comes_along and not path.is_relative_to(self._workspace)


def _as_it_is(path: Path) -> list[str]:
    """Show what is there: links into /usr as links, since those take no time."""
    if path.is_symlink() and path.resolve().is_relative_to("/usr"):
        return ["--symlink", str(path.readlink()), str(path)]
    return ["--ro-bind-try", str(path), str(path)]


def _readable(data: bytes) -> int:
    """Return a descriptor that a few bytes can be read from."""
    read, write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    os.write(write, data)
    os.close(write)
    return read


def _keep(workspace: Path) -> None:
    """Have there what is not the tools' own, as only what is there can be kept from being written.

    Raises UNAVAILABLE when one is a link, in whose place a tool could put another, or cannot be made.
    """
    for path in (workspace / name for name in (*FILES, SERVERS_OWN)):
        try:
            if path.is_symlink():
                hint = "put the file itself there"
                raise OcgError(Code.UNAVAILABLE, f"{path} is a link, which tools could replace; none is run", hint)
            if path.name == SERVERS_OWN:
                path.mkdir(mode=0o700, exist_ok=True)
            elif not path.exists():
                path.touch(mode=0o600)
        except OSError as error:
            hint = "see to the workspace (OCG_WORKSPACE)"
            raise OcgError(Code.UNAVAILABLE, f"{path}: {error.strerror}; no tool is run", hint) from None


async def _options() -> frozenset[str]:
    """Return the options that the installed bubblewrap has."""
    try:
        async with asyncio.timeout(_HELP_S):
            process = await asyncio.create_subprocess_exec("bwrap", "--help", stdout=PIPE, stderr=STDOUT)
            said, _ = await process.communicate()
    except OSError as error:  # among them is a TimeoutError
        raise OcgError(Code.UNAVAILABLE, f"bwrap --help: {error}", "read docs/confinement.md") from None
    return frozenset(said.decode().split())
