"""Spans sent by OpenTelemetry's SDK, OTLP over HTTP. Imported where traces are on, and nowhere else."""

import asyncio
import logging
import threading
from collections.abc import Sequence

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from ocg import __version__
from ocg.telemetry.spans import HEADER, Attributes, Kind, Span

_log = logging.getLogger(__name__)

# A collector that is slow or gone costs its own thread so long, and spans once so many wait.
_EXPORT_S = 1.0
_CLOSE_S = 1.0
_DELAY_MS = 1000
_MAX_WAITING = 2048


class OtelSpan:
    """See Span."""

    def __init__(self, made: trace.Span) -> None:
        self.made = made

    @property
    def traceparent(self) -> str:
        """See Span."""
        found = self.made.get_span_context()
        return f"00-{found.trace_id:032x}-{found.span_id:016x}-{found.trace_flags:02x}"

    def note(self, attributes: Attributes) -> None:
        """See Span."""
        self.made.set_attributes(dict(attributes))

    def rename(self, name: str) -> None:
        """See Span."""
        self.made.update_name(name)

    def fail(self, error: str) -> None:
        """See Span."""
        self.made.set_attribute("error.type", error)
        self.made.set_status(trace.StatusCode.ERROR)

    def end(self) -> None:
        """See Span."""
        self.made.end()


class OtelTracer:
    """See Tracer; `url` is the collector's, without `/v1/traces`."""

    def __init__(self, url: str, service: str) -> None:
        # It would say of each batch that it could not be sent, and how often it tried.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        resource = Resource.create({"service.name": service, "service.version": __version__})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        exporter = _TellingExporter(OTLPSpanExporter(f"{url.rstrip('/')}/v1/traces", timeout=_EXPORT_S))
        self._provider.add_span_processor(
            BatchSpanProcessor(exporter, max_queue_size=_MAX_WAITING, schedule_delay_millis=_DELAY_MS)
        )
        self._tracer = self._provider.get_tracer("ocg", __version__)

    def begin(self, name: str, *, kind: Kind, parent: Span | str | None, attributes: Attributes) -> OtelSpan:
        """See Tracer; a header that is none begins a new trace."""
        context = None
        if isinstance(parent, str):
            context = TraceContextTextMapPropagator().extract({HEADER: parent})
        elif isinstance(parent, OtelSpan):
            context = trace.set_span_in_context(parent.made)
        made = self._tracer.start_span(name, context, trace.SpanKind[kind.name], dict(attributes))
        return OtelSpan(made)

    async def close(self) -> None:
        """See Tracer; a collector that does not answer is left to the thread, which dies with the process."""
        ending = threading.Thread(target=self._provider.shutdown, name="traces", daemon=True)
        ending.start()
        await asyncio.to_thread(ending.join, _CLOSE_S)


class _TellingExporter(SpanExporter):
    """Says once that spans are lost, and once that they are not any more."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._is_lost = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        is_lost = result is not SpanExportResult.SUCCESS
        if is_lost and not self._is_lost:
            _log.warning("traces are lost: nobody takes them at OCG_TRACES")
        elif self._is_lost and not is_lost:
            _log.info("traces are taken again")
        self._is_lost = is_lost
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)
