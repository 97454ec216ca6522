"""What the process itself takes. prometheus_client's own collector gives nothing where ProcSubset= hides /proc/stat."""

import resource
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ocg.imports import without_running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.metrics_core import Metric

_PAGE_BYTES = resource.getpagesize()
_SELF = Path("/proc/self")


class ProcessCollector:
    """Reads /proc/self (proc(5)) when it is asked; the names are those of Prometheus' client libraries."""

    def __init__(self, prefix: str) -> None:
        self._prefix = f"{prefix}_process"
        self._started_s = time.time()

    def collect(self) -> "Iterator[Metric]":
        """Give a metric each."""
        without_running("prometheus_client")
        from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily  # noqa: PLC0415 - as above

        descriptors = sum(1 for _ in (_SELF / "fd").iterdir())
        prefix, soft = self._prefix, resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        resident = int((_SELF / "statm").read_text().split()[1]) * _PAGE_BYTES
        yield CounterMetricFamily(f"{prefix}_cpu_seconds", "CPU time of the process.", value=time.process_time())
        yield GaugeMetricFamily(f"{prefix}_resident_memory_bytes", "Memory of the process in RAM.", value=resident)
        yield GaugeMetricFamily(f"{prefix}_open_fds", "Open descriptors.", value=descriptors)
        yield GaugeMetricFamily(f"{prefix}_max_fds", "Descriptors that may be open.", value=soft)
        yield GaugeMetricFamily(f"{prefix}_start_time_seconds", "When it started, in Unix time.", value=self._started_s)
