"""What the agent reads on the web."""

from ocg.agent.confinement import Confinement
from ocg.agent.tools.base import Tool
from ocg.agent.tools.web.browser import Browsers, BrowserTool, is_installed
from ocg.agent.tools.web.fetch import WebFetchTool
from ocg.agent.tools.web.search import searches
from ocg.config import AgentSettings


def tools(settings: AgentSettings, confinement: Confinement, browsers: Browsers) -> tuple[Tool, ...]:
    """Return those there are: what searches has to be chosen first, and a browser installed."""
    browser = (BrowserTool(browsers),) if is_installed() and confinement.name != "systemd" else ()
    return (WebFetchTool(confinement, settings.web_private), *searches(settings), *browser)
