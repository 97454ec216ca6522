"""Brave Search, by the API at https://api-dashboard.search.brave.com/documentation."""

import html
import re
from collections.abc import Mapping, Sequence
from typing import ClassVar

import msgspec

from ocg.agent.tools.web.search.base import Hit, Query
from ocg.config import AgentSettings
from ocg.errors import Code, OcgError
from ocg.protocol import wire

_URL = "https://api.search.brave.com"
_MOST = 20


class _Result(msgspec.Struct):
    url: str
    title: str = ""
    description: str | None = None


class _Web(msgspec.Struct):
    results: list[_Result] = []


class _Answer(msgspec.Struct):
    web: _Web | None = None


class Brave:
    """See Engine."""

    name: ClassVar[str] = "brave"
    hints: ClassVar[Mapping[int, str]] = {
        401: "see BRAVE_API_KEY",
        403: "see BRAVE_API_KEY, and what its plan allows",
        422: "see BRAVE_API_KEY, or ask in fewer words",
        429: "its plan allows no more now; try later",
    }

    hint: ClassVar[str] = "try again later"

    def __init__(self, settings: AgentSettings, url: str = _URL) -> None:
        self._url = url
        self._key = settings.brave_key

    @staticmethod
    def is_set_up(settings: AgentSettings) -> bool:
        """See Engine."""
        return bool(settings.brave_key)

    def query(self, text: str, limit: int) -> Query:
        """See Engine. It takes 400 characters."""
        if not self._key:
            raise OcgError(Code.CONFIG_INVALID, "Brave's key is missing", "set BRAVE_API_KEY and restart OCG")
        headers = {"X-Subscription-Token": self._key, "Accept": "application/json"}
        return Query(f"{self._url}/res/v1/web/search", {"q": text[:400], "count": str(min(limit, _MOST))}, headers)

    def hits(self, body: bytes) -> Sequence[Hit]:
        """See Engine. What was found is in bold, by HTML."""
        found = wire.decode(_Answer, body).web or _Web()
        return [Hit(_plain(one.title), one.url, _plain(one.description or "")) for one in found.results]


def _plain(text: str) -> str:
    return html.unescape(re.sub(r"</?strong>", "", text))
