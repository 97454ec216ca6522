"""What the agent reads on the web."""

from ocg.agent.confinement import Confinement
from ocg.agent.tools.base import Tool
from ocg.agent.tools.web.fetch import WebFetchTool
from ocg.agent.tools.web.search import searches
from ocg.config import AgentSettings


def tools(settings: AgentSettings, confinement: Confinement) -> tuple[Tool, ...]:
    """Return those there are: what searches has to be chosen first."""
    return (WebFetchTool(confinement, settings.web_private), *searches(settings))
