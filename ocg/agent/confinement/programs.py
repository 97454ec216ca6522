"""Confinement where no systemd runs OCG: the agent starts the tool's process itself."""

import asyncio
import logging
import os
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ocg.agent.confinement.base import Confined, GoneError
from ocg.errors import Code, OcgError
from ocg.protocol.tooling import Cage, Request, Run

ROOT = Path(__file__).resolve().parents[3]
PACKAGES = [path for path in sys.path if path.endswith("site-packages")]
# The interpreter itself: a virtual environment's is a link to it, and takes longer to find out where it is.
PYTHON = Path(sys.executable).resolve()
_BOOT = "import sys; sys.path += sys.argv[2:]; from ocg.tool.__main__ import main; main()"
# Nothing of ours: no secret is in any tool's environment.
_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/tmp",  # noqa: S108 - its own
    "LANG": "C.UTF-8",
    "TERM": "dumb",
    # Any folder could be a repository, by files that `write` makes, whose configuration says what git runs.
    "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "safe.bareRepository",
    "GIT_CONFIG_VALUE_0": "explicit",
}
_END_S = 5.0
_COMPLAINT_BYTES = 500

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Command:
    """What is run. `descriptors` stay open for it, and are closed here when it runs."""

    words: Sequence[str]
    descriptors: Sequence[int] = ()


def tool(workspace: Path) -> list[str]:
    """Return the command of ocg-tool: this interpreter, without what it would look for before it begins."""
    return [str(PYTHON), "-I", "-S", "-B", "-c", _BOOT, str(workspace), str(ROOT), *PACKAGES]


class Programs:
    """See Confinement. `command` says what is run for a cage, in which some folders can be read besides."""

    def __init__(self, name: str, command: Callable[[Cage, Sequence[str]], Awaitable[Command]]) -> None:
        self.name = name
        self._command = command

    @asynccontextmanager
    async def open(self, cage: Cage, request: Request) -> AsyncIterator[Confined]:
        """See Confinement."""
        command = await self._command(cage, request.shows if isinstance(request, Run) else ())
        said, errors = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            async with _running(command, errors) as connection:
                confined = Confined(*connection, explain=lambda: _explained(said))
                await confined.begin(request)
                yield confined
        except GoneError as gone:
            raise _explained(said) or gone from None
        finally:
            os.close(said)


class Unconfined:
    """Makes the command that runs a tool in no cage at all."""

    def __init__(self, workspace: Path) -> None:
        self._workspace = workspace

    async def command(self, cage: Cage, shows: Sequence[str]) -> Command:
        """Return what is run for any cage."""
        del cage, shows
        return Command(tool(self._workspace))


@asynccontextmanager
async def _running(command: Command, errors: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Start a process and give the connection to it; leaving the block ends it. Closes `errors`, which is its own."""
    ours, its = socket.socketpair()
    with ours:
        try:
            process = await _started(command, its, errors)
        finally:
            its.close()
            for descriptor in (errors, *command.descriptors):
                os.close(descriptor)
        try:
            reader, writer = await asyncio.open_connection(sock=ours)
            try:
                yield reader, writer
            finally:
                writer.transport.abort()  # what it has not read yet, it need not read
                with suppress(OSError):
                    await writer.wait_closed()
        finally:
            ours.close()  # which is when the process ends
            await _ended(process)


async def _started(command: Command, its: socket.socket, errors: int) -> asyncio.subprocess.Process:
    try:
        return await asyncio.create_subprocess_exec(
            *command.words,
            stdin=its.fileno(),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=errors,
            env=_ENVIRONMENT,
            pass_fds=command.descriptors,
        )
    except OSError as error:
        why = f"{command.words[0]}: {error.strerror}"
        raise OcgError(Code.UNAVAILABLE, why, "read docs/confinement.md") from None


async def _ended(process: asyncio.subprocess.Process) -> None:
    """Wait until a process whose connection is closed has ended, which is when all that it held has."""
    try:
        async with asyncio.timeout(_END_S):
            await process.wait()
    except TimeoutError:
        _log.warning("a tool's process did not end by itself")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _explained(said: int) -> GoneError | None:
    """Tell what a process complained of before it was gone, if it did."""
    try:
        lines = os.read(said, _COMPLAINT_BYTES).decode("utf-8", "replace").splitlines()
    except BlockingIOError:
        return None
    if not lines:
        return None
    hint = "read docs/confinement.md" if lines[-1].startswith("bwrap:") else "ask for less"
    return GoneError(f"the tool's process has ended: {lines[-1]}", hint)
