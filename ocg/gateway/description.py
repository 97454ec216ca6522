"""What the gateway answers, as documents made from its table of endpoints."""

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from ocg import __version__
from ocg.lifecycle import answers
from ocg.lifecycle.endpoints import Endpoint
from ocg.lifecycle.openapi import document

_ABOUT = "OCG, a local AI agent: its own API, and those that other people's tools speak."
TAGS = (
    ("OpenAI", "OpenAI's API: the agent as the model `ocg`, and the local models by their names."),
    ("Anthropic", "Anthropic's Messages API, for the same models."),
    ("Ollama", "Ollama's API, for the same models."),
    ("Turns", "A question to the agent and all that happens until its answer, as numbered events."),
    ("Sessions", "The agent's conversations."),
    ("Memories", "What the agent remembers."),
    ("Access", "Who may talk to the gateway, and how often."),
    ("Gateway", "The gateway itself."),
)


class Description:
    """Serves them."""

    def __init__(self, described: Sequence[Endpoint]) -> None:
        self._described = (*described, *self.endpoints())

    def endpoints(self) -> tuple[Endpoint, ...]:
        """List its own."""
        return (
            Endpoint(
                "GET", "/openapi.json", "This document", self.openapi, dict[str, Any], tag="Gateway", is_open=True
            ),
        )

    async def openapi(self, _: Request) -> Response:
        """Describe all that is asked over HTTP."""
        return answers.answer(describe(self._described))


def describe(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """Make the OpenAPI document."""
    return document(endpoints, title="OCG", version=__version__, description=_ABOUT, tags=TAGS)
