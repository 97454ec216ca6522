"""The files of the workspace; each call is done by a confined process."""

from typing import Any

import msgspec

from ocg.agent.confinement import Confinement, ask
from ocg.agent.tools.base import Place, Tool
from ocg.protocol.approvals import Decision
from ocg.protocol.tooling import Cage, Read


class FileTool:
    """See Tool. What the model gives is what the confined process is asked."""

    default: Decision = "allow"
    timeout_s = 60.0

    def __init__(
        self, confinement: Confinement, cage: Cage, arguments: type[msgspec.Struct], *, name: str, description: str
    ) -> None:
        self._confinement = confinement
        self._cage = cage
        self.arguments = arguments
        self.name = name
        self.description = description
        self.is_repeatable = cage is Cage.RO

    async def run(self, arguments: Any, place: Place) -> str:
        """Have it done."""
        del place
        return await ask(self._confinement, self._cage, arguments)


def tools(confinement: Confinement) -> tuple[Tool, ...]:
    """Return all of them."""
    return (FileTool(confinement, Cage.RO, Read, name="read", description="Read a file of the workspace."),)
