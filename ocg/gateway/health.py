"""How all three services are, asked at once and answered soon: in a word for everybody, in full for those who may."""

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from ocg import __version__
from ocg.errors import OcgError
from ocg.gateway.upstream import Agent, Embedding
from ocg.lifecycle import answers, vitals
from ocg.lifecycle.endpoints import Endpoint
from ocg.protocol.messages import ServiceState, SystemHealth, SystemState

_LIMIT_S = 1.5
_OWN = "ocg-gateway"


class HealthRoutes:
    """GET /health is open to all, so it says how things are and nothing of where or why; /v1/status does."""

    def __init__(self, agent: Agent, embedding: Embedding) -> None:
        self._others: tuple[Agent | Embedding, ...] = (embedding, agent)

    def endpoints(self) -> tuple[Endpoint, ...]:
        """List them."""
        return (
            Endpoint(
                "GET", "/health", "How all three services are", self.health, SystemHealth, unwell=SystemHealth,
                tag="Gateway", is_open=True,
            ),
            Endpoint(
                "GET", "/v1/status", "What each service says of itself", self.status, SystemState,
                scope="read", tag="Gateway",
            ),
        )  # fmt: skip

    async def health(self, _: Request) -> Response:
        """Answer 200 when all is well, 503 when a service is down."""
        states = dict[str, str]((one.service, one.state) for one in await self._states()) | {_OWN: "ok"}
        is_ok = all(state == "ok" for state in states.values())
        found = SystemHealth(status="ok" if is_ok else "degraded", version=__version__, services=states)
        return answers.answer(found, 503 if "down" in states.values() else 200)

    async def status(self, _: Request) -> Response:
        """Answer 200 in any case: that a service is down is what was asked for."""
        own = ServiceState(service=_OWN, state="ok", health=await vitals.health(_OWN, {}))
        return answers.answer(SystemState(services=(*await self._states(), own)))

    async def _states(self) -> list[ServiceState]:
        return await asyncio.gather(*map(_state, self._others))


async def _state(service: Agent | Embedding) -> ServiceState:
    try:
        async with asyncio.timeout(_LIMIT_S):
            found = await service.health()
    except TimeoutError:
        return ServiceState(service=service.service, state="down", why=f"no answer within {_LIMIT_S} s")
    except OcgError as error:
        return ServiceState(service=service.service, state="down", why=error.message)
    return ServiceState(service=service.service, state=found.status, health=found)
