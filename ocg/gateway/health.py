"""GET /health: how all three services are, asked at once and answered soon."""

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from ocg import __version__
from ocg.errors import OcgError
from ocg.gateway.upstream import Agent, Embedding
from ocg.lifecycle import answers
from ocg.lifecycle.endpoints import Endpoint
from ocg.protocol.messages import SystemHealth

_LIMIT_S = 1.5


class HealthRoute:
    """Open to all, so it says how things are and nothing of where or why."""

    def __init__(self, agent: Agent, embedding: Embedding) -> None:
        self._agent = agent
        self._embedding = embedding

    def endpoints(self) -> tuple[Endpoint, ...]:
        """List them."""
        gives = SystemHealth
        return (
            Endpoint(
                "GET", "/health", "How all three services are", self.health, gives, unwell=gives,
                tag="Gateway", is_open=True,
            ),
        )  # fmt: skip

    async def health(self, _: Request) -> Response:
        """Answer 200 when all is well, 503 when a service is down."""
        embedding, agent = await asyncio.gather(_state(self._embedding), _state(self._agent))
        services = {"ocg-embedding": embedding, "ocg-agent": agent, "ocg-gateway": "ok"}
        is_ok = all(state == "ok" for state in services.values())
        found = SystemHealth(status="ok" if is_ok else "degraded", version=__version__, services=services)
        return answers.answer(found, 503 if "down" in services.values() else 200)


async def _state(service: Agent | Embedding) -> str:
    try:
        async with asyncio.timeout(_LIMIT_S):
            return (await service.health()).status
    except (OcgError, TimeoutError):
        return "down"
