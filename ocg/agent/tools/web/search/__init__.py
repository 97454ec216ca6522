"""Searching the web: every engine stands in the list below."""

from ocg.agent.tools.web.search.base import Engine
from ocg.agent.tools.web.search.brave import Brave
from ocg.agent.tools.web.search.searxng import Searxng
from ocg.agent.tools.web.search.tool import WebSearchTool
from ocg.config import AgentSettings

ENGINES: tuple[type[Engine], ...] = (Searxng, Brave)


def searches(settings: AgentSettings) -> tuple[WebSearchTool, ...]:
    """Return the search by the engine that is chosen, or else is set up; none where there is neither."""
    for kind in ENGINES:
        if settings.search == kind.name or (not settings.search and kind.is_set_up(settings)):
            return (WebSearchTool(kind(settings)),)
    return ()
