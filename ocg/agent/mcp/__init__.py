"""Servers of the Model Context Protocol: what is in mcp.json, a session with each, and their tools."""

from ocg.agent.mcp.file import McpFile
from ocg.agent.mcp.servers import Servers, connecting

__all__ = ["McpFile", "Servers", "connecting"]
