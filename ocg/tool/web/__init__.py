"""What is got from the web."""

from ocg.tool.web.fetch import fetch

__all__ = ["fetch"]
