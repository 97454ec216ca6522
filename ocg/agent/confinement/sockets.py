"""Confinement by systemd: each connection to a cage's socket is answered by a unit of its own."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

from ocg.agent.confinement.base import Confined
from ocg.errors import Code, OcgError
from ocg.protocol.tooling import Cage, Request

# Half of the sockets' MaxConnections=: past that systemd hangs up without a word, and it counts those too that end.
MOST = 32
# What the units show, whatever the settings say: they read none.
WORKSPACE = Path("/var/lib/ocg/workspace")


class Sockets:
    """See Confinement."""

    name = "systemd"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: Counter[Cage] = Counter()

    @asynccontextmanager
    async def open(self, cage: Cage, request: Request) -> AsyncIterator[Confined]:
        """See Confinement."""
        path = self._folder / f"tool-{cage}.sock"
        with self._counted(cage):
            try:
                reader, writer = await asyncio.open_unix_connection(path)
            except OSError as error:
                hint = f"systemctl status ocg-tool-{cage}.socket"
                raise OcgError(Code.UNAVAILABLE, f"{path}: {error.strerror}", hint) from None
            try:
                confined = Confined(reader, writer)
                await confined.begin(request)
                yield confined
            finally:
                writer.transport.abort()  # what it has not read yet, it need not read
                with suppress(OSError):
                    await writer.wait_closed()

    @contextmanager
    def _counted(self, cage: Cage) -> Iterator[None]:
        if self._open[cage] >= MOST:
            why = f"{MOST} tools run in the cage {cage} already"
            raise OcgError(Code.BUSY, why, "wait until one has ended, or end one: `ocg chat`, then /stop")
        self._open[cage] += 1
        try:
            yield
        finally:
            self._open[cage] -= 1
