"""No confinement, so no tool."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ocg.agent.confinement.base import Confined
from ocg.errors import Code, OcgError
from ocg.protocol.tooling import Cage, Request


class Refusal:
    """See Confinement."""

    name = "none"

    @asynccontextmanager
    async def open(self, cage: Cage, request: Request) -> AsyncIterator[Confined]:
        """See Confinement."""
        for _ in ():
            yield _
        del cage, request
        why = "nothing confines tools here: no systemd runs OCG, and there is no bubblewrap"
        raise OcgError(Code.UNAVAILABLE, why, "install the package bubblewrap, or read docs/confinement.md")
