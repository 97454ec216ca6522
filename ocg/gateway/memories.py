"""What the agent remembers, over HTTP: found, kept, accepted, taken out and in, and forgotten."""

from collections.abc import Iterator
from functools import partial
from typing import Annotated

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from ocg.errors import Code
from ocg.gateway.names import checked, id_of
from ocg.gateway.upstream import UPSTREAM_ERRORS, Agent
from ocg.lifecycle import answers
from ocg.lifecycle.endpoints import Endpoint, Parameter
from ocg.protocol.messages import (
    MAX_SEQ,
    Changed,
    Memory,
    MemoryIds,
    MemoryImport,
    MemoryImported,
    MemoryList,
    MemoryPage,
    MemoryRequest,
    Name,
)

_MAX_LISTED = 1000
# Percent-encoded they are 48 KiB at the most; a request's head has 64.
_Query = Annotated[str, msgspec.Meta(max_length=4096)]
_Limit = Annotated[int, msgspec.Meta(ge=1, le=_MAX_LISTED, extra_json_schema={"default": 20})]
_After = Annotated[int, msgspec.Meta(ge=0, le=MAX_SEQ)]
_FIND = (Parameter("q", _Query, "what to look for"), Parameter("limit", _Limit, "how many at the most"))
_PAGE = (Parameter("after", _After, "the last page's `next`"),)


class MemoryRoutes:
    """Passes them through."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    def endpoints(self) -> Iterator[Endpoint]:
        """List them."""
        shared = partial(Endpoint, errors=UPSTREAM_ERRORS, tag="Memories")
        read, write = partial(shared, scope="read"), partial(shared, scope="admin")
        unknown = (Code.NOT_FOUND, *UPSTREAM_ERRORS)
        yield read(
            "GET", "/v1/memories", "Find memories, or list the newest", self.memories, MemoryList, parameters=_FIND
        )
        yield write("POST", "/v1/memories", "Keep a memory", self.remember, Memory, takes=MemoryRequest)
        yield read("GET", "/v1/memories/proposed", "List what waits to be accepted", self.proposed, MemoryList)
        yield write(
            "POST", "/v1/memories/accept", "Turn proposals into memories, all or none", self.accept, Changed,
            takes=MemoryIds, errors=unknown,
        )  # fmt: skip
        yield read(
            "GET", "/v1/memories/export", "Read a page of all memories that stand in no file", self.export_memories,
            MemoryPage, parameters=_PAGE,
        )  # fmt: skip
        yield write(
            "POST", "/v1/memories/import", "Take memories in, all or none; the same again changes nothing",
            self.import_memories, MemoryImported, takes=MemoryImport,
        )  # fmt: skip
        yield write(
            "DELETE", "/v1/memories/{id}", "Delete a memory for good", self.forget, Changed,
            named=Name, errors=unknown,
        )  # fmt: skip

    async def memories(self, request: Request) -> Response:
        """Find memories, or list the newest."""
        query = checked(request.query_params.get("q", ""), _Query, "q")
        limit = answers.number(request, "limit", default=20, least=1, most=_MAX_LISTED)
        return answers.answer(await self._agent.memories(query, limit=limit))

    async def remember(self, request: Request) -> Response:
        """Keep a memory."""
        asked = await answers.read(request, MemoryRequest, limit_bytes=1 << 20)
        return answers.answer(await self._agent.remember(asked))

    async def proposed(self, _: Request) -> Response:
        """List what waits to be accepted, oldest first."""
        return answers.answer(await self._agent.proposed_memories())

    async def accept(self, request: Request) -> Response:
        """Turn proposals into memories."""
        asked = await answers.read(request, MemoryIds)
        return answers.answer(Changed(count=await self._agent.accept_memories(asked.ids)))

    async def export_memories(self, request: Request) -> Response:
        """Read a page of all memories."""
        return answers.answer(
            await self._agent.export_memories(answers.number(request, "after", default=0, most=MAX_SEQ))
        )

    async def import_memories(self, request: Request) -> Response:
        """Take memories in."""
        asked = await answers.read(request, MemoryImport)
        return answers.answer(await self._agent.import_memories(asked.memories))

    async def forget(self, request: Request) -> Response:
        """Delete a memory for good."""
        await self._agent.forget(id_of(request))
        return answers.answer(Changed(count=1))
