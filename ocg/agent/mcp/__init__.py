"""Servers of the Model Context Protocol: what is in mcp.json, a session with each, and their tools."""

from ocg.agent.mcp.servers import Servers, opened

__all__ = ["Servers", "opened"]
