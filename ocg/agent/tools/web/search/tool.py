"""Searching the web. The agent does it itself: a key must not enter a cage."""

import asyncio
from typing import Annotated

import msgspec

from ocg.agent.imports import load_aiohttp
from ocg.agent.providers.transport import beginning, unreached
from ocg.agent.tools.base import Place
from ocg.agent.tools.web.search.base import Engine, Hit, Query
from ocg.errors import Code, OcgError
from ocg.protocol.approvals import Decision

_MAX_BYTES = 2 << 20
_SNIPPET_CHARS = 500
_TITLE_CHARS = 200
_WAIT_S = 20.0
_OK = 200


class SearchArguments(msgspec.Struct, frozen=True):
    """What to look for."""

    query: Annotated[str, msgspec.Meta(min_length=1, max_length=1000, description="what to look for")]
    limit: Annotated[int, msgspec.Meta(ge=1, le=20, description="how many results at the most")] = 8


class WebSearchTool:
    """See Tool."""

    name = "web_search"
    description = "Search the web; web_fetch reads what is found."
    default: Decision = "allow"
    arguments = SearchArguments
    timeout_s = 30.0
    is_repeatable = True
    is_outside = True

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    async def run(self, arguments: SearchArguments, place: Place) -> str:  # noqa: ARG002 - Tool's signature
        """Return a title, an address and some words for each result."""
        query = self.engine.query(arguments.query, arguments.limit)
        body = await self._asked(query)
        try:
            found = self.engine.hits(body)
        except OcgError as error:
            why = f"{self.engine.name} answered what is no search: {error.message}"
            raise OcgError(Code.PROVIDER, why, self.engine.hint) from None
        return "\n\n".join(_said(hit) for hit in found[: arguments.limit]) or "nothing was found"

    async def _asked(self, query: Query) -> bytes:
        await load_aiohttp()
        import aiohttp  # noqa: PLC0415 - slow to import; loaded by now

        try:
            async with (
                asyncio.timeout(_WAIT_S),
                aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
                session.get(query.url, params=query.params, headers=query.headers, allow_redirects=False) as response,
            ):
                body = await beginning(response, _MAX_BYTES)
        except TimeoutError:
            raise OcgError(Code.TIMEOUT, f"{self.engine.name} was silent for {_WAIT_S:g} s", "try again") from None
        except aiohttp.ClientConnectorError as error:
            raise OcgError(Code.UNAVAILABLE, unreached(self.engine.name, error), self.engine.hint) from None
        except (aiohttp.ClientError, ValueError) as error:
            why = f"{self.engine.name} broke off: {type(error).__name__}"  # its text may hold the URL, and that a key
            raise OcgError(Code.PROVIDER, why, self.engine.hint) from None
        if response.status != _OK:
            hint = self.engine.hints.get(response.status, self.engine.hint)
            raise OcgError(Code.PROVIDER, f"{self.engine.name} answered {response.status}", hint)
        return body


def _said(hit: Hit) -> str:
    lines = (" ".join(hit.title.split())[:_TITLE_CHARS], hit.url, " ".join(hit.snippet.split())[:_SNIPPET_CHARS])
    return "\n".join(line for line in lines if line)
