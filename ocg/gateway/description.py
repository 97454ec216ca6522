"""What the gateway answers, as documents made from its table of endpoints."""

import asyncio
import json
from collections.abc import Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from ocg import __version__
from ocg.gateway import asyncapi
from ocg.gateway.reference.page import CONTENT_SECURITY_POLICY, STYLE_PATH, written
from ocg.lifecycle.endpoints import Endpoint
from ocg.lifecycle.openapi import document
from ocg.protocol import wire

_ABOUT = "OCG, a local AI agent: its own API, and those that other people's tools speak."
_STYLE = Path(__file__).parent / "reference" / "style.css"
TAGS = (
    ("OpenAI", "OpenAI's API: the agent as the model `ocg`, and the local models by their names."),
    ("Anthropic", "Anthropic's Messages API, for the same models."),
    ("Ollama", "Ollama's API, for the same models."),
    ("Turns", "A question to the agent and all that happens until its answer, as numbered events."),
    ("Sessions", "The agent's conversations."),
    ("Approvals", "The agent's calls of tools: those that wait to be allowed, and what was decided."),
    ("Memories", "What the agent remembers."),
    ("Schedules", "What the agent is to be asked later, once or again and again."),
    ("MCP", "Servers of the Model Context Protocol, whose tools the agent has beside its own."),
    ("Channels", "Answers for where people already talk, until whoever speaks for that has delivered them."),
    ("Agent", "What the agent works with."),
    ("Access", "Who may talk to the gateway, and how often."),
    ("Gateway", "The gateway itself."),
)


class Description:
    """Serves them, and a page that shows them; each is made when it is first asked for."""

    def __init__(self, described: Sequence[Endpoint]) -> None:
        self._described = (*described, *self.endpoints())

    def endpoints(self) -> tuple[Endpoint, ...]:
        """List its own: open to all, since what can be asked is no secret."""
        shared = partial(Endpoint, tag="Gateway", is_open=True)
        return (
            shared("GET", "/openapi.json", "This API as an OpenAPI document", self.openapi, dict[str, Any]),
            shared("GET", "/asyncapi.json", "Its events as an AsyncAPI document", self.asyncapi, dict[str, Any]),
            shared("GET", "/docs", "Both as a page", self.docs, str, media="text/html"),
            shared("GET", STYLE_PATH, "The page's style sheet", self.docs_style, str, media="text/css"),
        )

    async def openapi(self, _: Request) -> Response:
        """Describe all that is asked over HTTP."""
        return Response(self._openapi, media_type=wire.JSON)

    async def asyncapi(self, _: Request) -> Response:
        """Describe the events."""
        return Response(self._asyncapi, media_type=wire.JSON)

    async def docs(self, _: Request) -> Response:
        """Show both."""
        headers = {"Content-Security-Policy": CONTENT_SECURITY_POLICY}
        return HTMLResponse(await asyncio.to_thread(lambda: self._page), headers=headers)

    async def docs_style(self, _: Request) -> Response:
        """Serve the page's style sheet."""
        return Response(await asyncio.to_thread(_STYLE.read_bytes), media_type="text/css")

    @cached_property
    def _openapi(self) -> bytes:
        return wire.encode(describe(self._described))

    @cached_property
    def _asyncapi(self) -> bytes:
        return wire.encode(asyncapi.describe())

    @cached_property
    def _page(self) -> str:
        return written(json.loads(self._openapi), json.loads(self._asyncapi))


def describe(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """Make the OpenAPI document."""
    return document(endpoints, title="OCG", version=__version__, description=_ABOUT, tags=TAGS)
