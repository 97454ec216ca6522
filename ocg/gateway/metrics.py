"""GET /metrics: what all three services measure, on one page."""

import asyncio
import logging

from starlette.requests import Request
from starlette.responses import Response

from ocg.errors import OcgError
from ocg.gateway.upstream import Agent, Embedding
from ocg.lifecycle.endpoints import Endpoint
from ocg.telemetry.metrics import CONTENT_TYPE, END, Meter

_LIMIT_S = 1.5

_log = logging.getLogger(__name__)


class MetricsRoute:
    """Asks the others at the same time; one that does not answer is missing, and not up."""

    def __init__(self, agent: Agent, embedding: Embedding, meter: Meter) -> None:
        self._others = (embedding, agent)
        self._meter = meter
        self._up = meter.up()

    def endpoints(self) -> tuple[Endpoint, ...]:
        """List them."""
        about = "What all three services measure, for Prometheus"
        return (Endpoint("GET", "/metrics", about, self.metrics, str, media=CONTENT_TYPE, scope="read", tag="Gateway"),)

    async def metrics(self, _: Request) -> Response:
        """Answer in OpenMetrics' text format, which one line ends, the page over."""
        self._up.labels("ocg-gateway").set(1)
        pages = await asyncio.gather(*(self._page(other) for other in self._others))
        whole = b"".join(page.removesuffix(END) for page in (*pages, self._meter.text()))
        return Response(whole + END, media_type=CONTENT_TYPE)

    async def _page(self, service: Agent | Embedding) -> bytes:
        page = b""
        try:
            async with asyncio.timeout(_LIMIT_S):
                page = await service.metrics()
        except (OcgError, TimeoutError) as error:
            _log.debug("no metrics of %s: %s", service.service, error)
        is_whole = page.endswith(END)
        self._up.labels(service.service).set(is_whole)
        return page if is_whole else b""
