"""Confinement by bubblewrap, where no systemd runs OCG: the agent starts the tool's process itself."""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from ocg.agent.confinement.base import Confined
from ocg.protocol.tooling import Cage, Request, Run

ROOT = Path(__file__).resolve().parents[3]
_PACKAGES = [path for path in sys.path if path.endswith("site-packages")]
_BOOT = "import sys; sys.path += sys.argv[2:]; from ocg.tool.__main__ import main; main()"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def tool(workspace: Path) -> list[str]:
    """Return the command of ocg-tool: this interpreter, without what it would look for before it begins."""
    return [sys.executable, "-I", "-S", "-B", "-c", _BOOT, str(workspace), str(ROOT), *_PACKAGES]


class Programs:
    """See Confinement. `wrap` makes a command's words confined ones."""

    def __init__(self, name: str, workspace: Path) -> None:
        self.name = name
        self._workspace = workspace

    def command(self, cage: Cage, shows: Sequence[str] = ()) -> Sequence[str]:
        """Return what is run for a cage, in which these folders can be read besides."""
        if self.name == "unconfined":
            return tool(self._workspace)
        return [*self._cage(cage, shows), *tool(self._workspace)]

    def _cage(self, cage: Cage, shows: Sequence[str]) -> list[str]:
        bind = "--ro-bind" if cage is Cage.RO else "--bind"
        places = {sys.prefix, sys.base_prefix, str(ROOT / "ocg"), *_PACKAGES, *shows}
        shown = [word for place in sorted(places) for word in ("--ro-bind", place, place)]
        net = [] if cage in {Cage.NET, Cage.EXT} else ["--unshare-net"]
        return [
            "bwrap", "--die-with-parent", "--new-session", "--clearenv",
            "--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-uts", "--unshare-cgroup-try", *net,
            "--ro-bind", "/usr", "/usr", "--symlink", "usr/bin", "/bin", "--symlink", "usr/sbin", "/sbin",
            "--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64", "/lib64",
            "--ro-bind", "/etc", "/etc", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp",  # noqa: S108 - its own
            *shown, bind, str(self._workspace), str(self._workspace),
            "--setenv", "PATH", PATH, "--setenv", "HOME", "/tmp", "--setenv", "LANG", "C.UTF-8",  # noqa: S108 - as above
        ]  # fmt: skip

    @asynccontextmanager
    async def open(self, cage: Cage, request: Request) -> AsyncIterator[Confined]:
        """See Confinement."""
        words = self.command(cage, request.shows if isinstance(request, Run) else ())
        ours, its = socket.socketpair()
        with its:
            process = await asyncio.create_subprocess_exec(*words, stdin=its.fileno(), env={"PATH": PATH})
        reader, writer = await asyncio.open_connection(sock=ours)
        try:
            confined = Confined(reader, writer)
            await confined.begin(request)
            yield confined
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
