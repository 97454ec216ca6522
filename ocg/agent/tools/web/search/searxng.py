"""SearXNG, by the API at https://docs.searxng.org/dev/search_api.html."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import msgspec

from ocg.agent.tools.web.search.base import Hit, Query
from ocg.config import AgentSettings
from ocg.errors import Code, OcgError
from ocg.protocol import wire


class _Result(msgspec.Struct):
    url: str | None  # a table of facts has none
    title: str = ""
    content: str | None = None


class _Answer(msgspec.Struct):
    results: list[_Result]


class Searxng:
    """See Engine."""

    name: ClassVar[str] = "searxng"
    hints: ClassVar[Mapping[int, str]] = {403: "add json to search.formats in its settings.yml", 429: "its limiter is on; try later"}

    hint: ClassVar[str] = "see OCG_SEARCH_URL, or try again later"

    def __init__(self, settings: AgentSettings) -> None:
        self._url = settings.search_url.rstrip("/")

    @staticmethod
    def is_set_up(settings: AgentSettings) -> bool:
        """See Engine."""
        return bool(settings.search_url)

    def query(self, text: str, limit: int) -> Query:  # noqa: ARG002 - it gives a page, as long as it likes
        """See Engine."""
        if not self._url:
            raise OcgError(Code.CONFIG_INVALID, "SearXNG's address is missing", "set OCG_SEARCH_URL and restart OCG")
        return Query(f"{self._url}/search", {"q": text, "format": "json"})

    def hits(self, body: bytes) -> Sequence[Hit]:
        """See Engine."""
        found = wire.decode(_Answer, body).results
        return [Hit(one.title, one.url, one.content or "") for one in found if one.url]
