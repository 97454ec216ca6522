"""The metrics of a service, as Prometheus reads them."""

from typing import TYPE_CHECKING

from ocg.imports import without_running
from ocg.telemetry.process import ProcessCollector

if TYPE_CHECKING:
    from prometheus_client.metrics import Counter, Gauge, Histogram

CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"
END = b"# EOF\n"
OTHER = "other"

# A turn may take half an hour, a search takes a millisecond: one row of bounds for each.
QUICK_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0)
SLOW_S = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0)


class Meter:
    """Makes and shows metrics. Their names begin with the service's, so that those of all three can be put together."""

    def __init__(self, service: str) -> None:
        # The package's __init__ imports an HTTP server, 6 ms and 0.8 MB, and fills a registry of its own.
        without_running("prometheus_client")
        from prometheus_client import metrics  # noqa: PLC0415 - as above
        from prometheus_client.registry import CollectorRegistry  # noqa: PLC0415 - as above

        # As many lines again, which say nothing but when we started.
        metrics.disable_created_metrics()  # type: ignore[no-untyped-call] # it has no annotations
        self._make = metrics
        self._prefix = service.replace("-", "_")
        self.registry = CollectorRegistry()
        self.registry.register(ProcessCollector(self._prefix))

    def counter(self, name: str, doc: str, *labels: str) -> "Counter":
        """Make a counter; `_total` is added to its name."""
        return self._make.Counter(f"{self._prefix}_{name}", doc, labels, registry=self.registry)

    def gauge(self, name: str, doc: str, *labels: str) -> "Gauge":
        """Make a gauge."""
        return self._make.Gauge(f"{self._prefix}_{name}", doc, labels, registry=self.registry)

    def histogram(self, name: str, doc: str, *labels: str, bounds_s: tuple[float, ...]) -> "Histogram":
        """Make a histogram of seconds."""
        return self._make.Histogram(
            f"{self._prefix}_{name}_seconds", doc, labels, buckets=bounds_s, registry=self.registry
        )

    def up(self) -> "Gauge":
        """Make the one gauge that is of all services."""
        return self._make.Gauge("ocg_up", "1 for a service that answers.", ["service"], registry=self.registry)

    def text(self) -> bytes:
        """Write all there is in OpenMetrics' text format (https://prometheus.io/docs/specs/om/open_metrics_spec/)."""
        from prometheus_client.openmetrics.exposition import generate_latest  # noqa: PLC0415 - as above

        text: bytes = generate_latest(self.registry)  # type: ignore[no-untyped-call] # its type is not written down
        return text


class Names:
    """Values of a label that come from outside: after so many, a further one is called `other`."""

    def __init__(self, most: int = 100) -> None:
        self._known: set[str] = set()
        self._most = most

    def of(self, name: str) -> str:
        """Return the name, or `other`."""
        if name in self._known:
            return name
        if len(self._known) >= self._most or not name:
            return OTHER
        self._known.add(name)
        return name
