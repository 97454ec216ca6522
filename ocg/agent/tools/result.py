"""Reading on in a result that was too long to be shown whole."""

from typing import Annotated

import msgspec

from ocg.agent.results import Results
from ocg.agent.tools.base import Place
from ocg.protocol.approvals import Decision


class ResultArguments(msgspec.Struct, frozen=True):
    """What to read."""

    id: Annotated[str, msgspec.Meta(min_length=1, max_length=64, description="the id that the cut result names")]
    offset: Annotated[int, msgspec.Meta(ge=0, le=1 << 31, description="the first character, from 0")] = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=8000, description="how many characters")] = 4000


class ReadResultTool:
    """See Tool."""

    name = "read_result"
    description = "Read a part of a tool's result that was too long to be shown whole."
    default: Decision = "allow"
    arguments = ResultArguments
    timeout_s = 10.0
    is_repeatable = True
    is_outside = True  # as what it reads may be

    def __init__(self, results: Results) -> None:
        self._results = results

    async def run(self, arguments: ResultArguments, place: Place) -> str:  # noqa: ARG002 - Tool's signature
        """Return the part."""
        return await self._results.read(arguments.id, arguments.offset, arguments.limit)
