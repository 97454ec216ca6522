"""Requests counted and timed, around a service's application; with traces on, each has a span."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ocg.telemetry import spans
from ocg.telemetry.metrics import OTHER, QUICK_S, Meter
from ocg.telemetry.spans import Kind, Span, Tracer

_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
_STREAMS = ("text/event-stream", "application/x-ndjson")
# Asked every few seconds by whoever watches, and about nothing but this one service.
_UNTRACED = frozenset({"/health", "/metrics"})
_NO_ANSWER = "none"


class Measured:
    """Measures what goes through: by the route's template, so that no path from outside becomes a label."""

    def __init__(self, app: ASGIApp, meter: Meter, tracer: Tracer | None = None) -> None:
        self._app = app
        self._tracer = tracer
        by_route = ("method", "route")
        self._count = meter.counter("http_requests", "Requests answered.", *by_route, "status")
        self._duration = meter.histogram(
            "http_request_duration", "Requests: how long until the answer's end.", *by_route, bounds_s=QUICK_S
        )
        self._running = meter.gauge("http_requests_running", "Requests that are being answered.")
        self._streams = meter.gauge("http_streams", "Answers among them that come as a stream.")
        self._sockets = meter.gauge("websockets", "Open WebSockets.")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through."""
        if scope["type"] == "http":
            await self._request(scope, receive, send)
            return
        with self._sockets.track_inprogress():
            await self._app(scope, receive, send)

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        began_s, answer = time.perf_counter(), _Answer()

        async def watch(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer.status = str(message["status"])
                if Headers(raw=message["headers"]).get("content-type", "").startswith(_STREAMS):
                    answer.is_stream = True
                    self._streams.inc()
            await send(message)

        try:
            with self._running.track_inprogress(), self._span(scope, answer):
                await self._app(scope, receive, watch)
        finally:
            if answer.is_stream:
                self._streams.dec()
            method, route = _method(scope), _route(scope)
            self._count.labels(method, route, answer.status).inc()
            self._duration.labels(method, route).observe(time.perf_counter() - began_s)

    @contextmanager
    def _span(self, scope: Scope, answer: "_Answer") -> Iterator[None]:
        if self._tracer is None or scope["path"] in _UNTRACED:
            yield
            return
        parent = Headers(scope=scope).get(spans.HEADER, "")
        with spans.span(self._tracer, _method(scope), kind=Kind.SERVER, parent=parent) as span:
            try:
                yield
            finally:
                _name(span, scope, answer)


class _Answer:
    """What is known of one by now."""

    def __init__(self) -> None:
        self.status = _NO_ANSWER
        self.is_stream = False


def _name(span: Span | None, scope: Scope, answer: _Answer) -> None:
    """Say what a span was about, by OpenTelemetry's conventions for HTTP."""
    if span is None:
        return
    method, route = _method(scope), _route(scope)
    span.rename(f"{method} {route}")
    span.note({"http.request.method": method, "http.route": route})
    if answer.status != _NO_ANSWER:
        span.note({"http.response.status_code": int(answer.status)})
    if answer.status.startswith("5"):
        span.fail(answer.status)


def _method(scope: Scope) -> str:
    return scope["method"] if scope["method"] in _METHODS else OTHER


def _route(scope: Scope) -> str:
    """Return the template of the route that was found; nobody's path, and what is refused before, has none."""
    found: str = getattr(scope.get("route"), "path_format", OTHER)
    return found
