"""No confinement, so no tool."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ocg.agent.confinement.base import Confined
from ocg.errors import Code, OcgError
from ocg.protocol.tooling import Cage, Request


class Refusal:
    """See Confinement. `why` nothing confines tools, and a `hint` what to do."""

    def __init__(self, why: str, hint: str) -> None:
        self.name = f"none: {why}"
        self._error = OcgError(Code.UNAVAILABLE, f"no tool is run, since nothing confines it here: {why}", hint)

    @asynccontextmanager
    async def open(self, cage: Cage, request: Request) -> AsyncIterator[Confined]:
        """See Confinement."""
        for _ in ():
            yield _
        del cage, request
        raise self._error
