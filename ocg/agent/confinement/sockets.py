"""Confinement by systemd: each connection to a cage's socket is answered by a unit of its own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from ocg.agent.confinement.base import Confined
from ocg.errors import Code, OcgError
from ocg.protocol.tooling import Cage, Request


class Sockets:
    """See Confinement."""

    name = "systemd"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @asynccontextmanager
    async def open(self, cage: Cage, request: Request) -> AsyncIterator[Confined]:
        """See Confinement."""
        path = self._folder / f"tool-{cage}.sock"
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
