"""Reading a page of the web; a confined process gets it."""

from collections.abc import Sequence

import msgspec

from ocg.agent.confinement import Confinement, ask
from ocg.agent.tools.base import Place
from ocg.protocol.approvals import Decision
from ocg.protocol.tooling import Cage, Fetch, Page


class WebFetchTool:
    """See Tool. It is asked about, as an address may carry away what the model knows."""

    name = "web_fetch"
    description = "Read a page of the web, as text with its links."
    default: Decision = "ask"
    arguments = Page
    timeout_s = 60.0
    is_repeatable = True
    is_outside = True

    def __init__(self, confinement: Confinement, private: Sequence[str]) -> None:
        self._confinement = confinement
        self._private = tuple(private)

    async def run(self, arguments: Page, place: Place) -> str:  # noqa: ARG002 - Tool's signature
        """Have it got."""
        request = Fetch(**msgspec.structs.asdict(arguments), private=self._private)
        return await ask(self._confinement, Cage.NET, request)
