"""A collector of traces: it takes OTLP over HTTP as OpenTelemetry's do, and keeps the spans."""

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class Seen:
    """A span as it came."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, Any]


class Collector(HTTPServer):
    """The server."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.spans: list[Seen] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def of_trace(self, trace_id: str, *wanted: tuple[str, str], timeout_s: float = 20.0) -> list[Seen]:
        """Return a trace's spans once these are among them, by service and name: each service sends its own in time."""
        deadline = time.monotonic() + timeout_s
        while True:
            found = [one for one in self.spans if one.trace_id == trace_id]
            missing = set(wanted) - {(one.service, one.name) for one in found}
            if not missing:
                return found
            assert time.monotonic() < deadline, f"{missing} did not come, but {found}"
            time.sleep(0.05)


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        pass

    def do_POST(self) -> None:
        assert self.path == "/v1/traces"
        request = ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["Content-Length"])))
        for of_service in request.resource_spans:
            service = _values(of_service.resource.attributes)["service.name"]
            for scope in of_service.scope_spans:
                self.server.spans += [_seen(service, span) for span in scope.spans]
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()


def _seen(service: str, span: Any) -> Seen:
    ids = (span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex())
    return Seen(service, span.name, *ids, _values(span.attributes))


def _values(attributes: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}


@contextlib.contextmanager
def collector() -> Iterator[Collector]:
    """Take spans until the block is left."""
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
