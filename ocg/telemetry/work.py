"""A kind of work: how often it was done and how that ended, how long it took, and a span of each."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from ocg.telemetry import spans
from ocg.telemetry.metrics import QUICK_S, Meter
from ocg.telemetry.spans import NO_ATTRIBUTES, Attributes, Span, Tracer

OK = "ok"


class Outcome:
    """What comes of one piece of work: without a word it is ok, or has the code of the error that ends it."""

    def __init__(self, span: Span | None) -> None:
        self.result = ""
        self._span = span

    def fail(self, result: str) -> None:
        """It went badly, though nothing was raised."""
        self.result = result
        if self._span is not None:
            self._span.fail(result)

    def note(self, attributes: Attributes) -> None:
        """Add to the span, where there is one."""
        if self._span is not None:
            self._span.note(attributes)


class Work:
    """Counts as `<name>s_total`, by labels and result, and measures as `<name>_duration_seconds`, by labels."""

    def __init__(
        self,
        meter: Meter,
        tracer: Tracer | None,
        name: str,
        doc: str,
        *labels: str,
        plural: str = "",
        bounds_s: tuple[float, ...] = QUICK_S,
    ) -> None:
        self._tracer = tracer
        self._count = meter.counter(plural or f"{name}s", f"{doc}, by how they ended.", *labels, "result")
        self._duration = meter.histogram(f"{name}_duration", f"{doc}: how long each took.", *labels, bounds_s=bounds_s)

    @contextmanager
    def measured(self, span_name: str, *labels: str, attributes: Attributes = NO_ATTRIBUTES) -> Iterator[Outcome]:
        """Measure what the block does."""
        began_s, outcome = time.perf_counter(), Outcome(None)
        try:
            with spans.span(self._tracer, span_name, attributes=attributes) as span:
                outcome = Outcome(span)
                yield outcome
        except BaseException as error:
            outcome.result = outcome.result or spans.code_of(error)
            raise
        finally:
            self._count.labels(*labels, outcome.result or OK).inc()
            duration = self._duration.labels(*labels) if labels else self._duration
            duration.observe(time.perf_counter() - began_s)
