"""A new base, made in a thread that gives way to all others and can be stopped at any time."""

import logging
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ocg.embedding.vectors import readonly, truth
from ocg.embedding.vectors.model import Collection
from ocg.embedding.vectors.segment import Segment, faiss, graph, reserve
from ocg.embedding.vectors.snapshot import Snapshots
from ocg.lifecycle.worker import Worker

if TYPE_CHECKING:
    from ocg.embedding.vectors.model import Rows

_log = logging.getLogger(__name__)
_CHUNK_ROWS = 500  # 0.2 s of work: so long may a stop take
# A disk writes 100 MB/s at the least, and FAISS says nothing while it reads or writes.
_BYTES_A_SECOND = 100e6


class StoppedError(Exception):
    """The service ends; there will be no base."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A base to build: of what is alive up to `watermark`, beginning with the `old` one where that is worth it.

    Where `made` is given, it has been built already, and only has to be written.
    """

    collection: Collection
    watermark: int
    old: Segment | None
    count: int
    made: Segment | None = None


@dataclass(frozen=True, slots=True)
class Built:
    """A base, and whether it is on the disk."""

    base: Segment
    saved: bool


class Builder:
    """Owns the thread."""

    def __init__(self, path: Path, snapshots: Snapshots) -> None:
        self.worker = Worker("vectors-build", nice=10)
        self._path = path
        self._snapshots = snapshots
        self._stopped = threading.Event()

    async def build(self, plan: Plan) -> Built:
        """Build a base and write it. Raises StoppedError; when the disk is full, it is in memory alone."""
        return await self.worker.run(lambda: self._build(plan))

    async def close(self, timeout_s: float) -> None:
        """Stop what is being built."""
        self._stopped.set()
        await self.worker.close(timeout_s)

    def _build(self, plan: Plan) -> Built:
        # One core is left to the searches.
        faiss().omp_set_num_threads(max(1, (os.cpu_count() or 1) - 1))
        began = time.monotonic()
        base = plan.made or self._grown(plan)
        bytes_ = base.size * plan.collection.dim * 5  # and an eighth to a quarter for the graph
        try:
            self.worker.beat(ahead_s=2 * bytes_ / _BYTES_A_SECOND)  # to the kernel, and to the disk
            saved = self._snapshots.save(plan.collection, base, plan.watermark, self._beat)
        except OSError as error:
            _log.warning("the snapshot of %r cannot be written, it is kept in memory: %s", plan.collection.name, error)
            return Built(base, saved=False)
        _log.info("%r: %d vectors indexed in %.1f s", plan.collection.name, base.size, time.monotonic() - began)
        return Built(saved, saved=True)

    def _beat(self) -> None:
        self.worker.beat()
        if self._stopped.is_set():
            raise StoppedError

    def _grown(self, plan: Plan) -> Segment:
        """Add what is new to a copy of the old base, or make one from nothing."""
        import numpy as np  # noqa: PLC0415 - FAISS has it imported

        index, known = self._beginning(plan)
        after = int(known[-1]) if len(known) else plan.collection.since
        found = [known]
        with readonly.connected(self._path) as db:
            for rows, data in truth.blobs(db, plan.collection, after, until=plan.watermark, size=_CHUNK_ROWS):
                self._beat()
                index.add(np.frombuffer(data, "<f4").reshape(len(rows), plan.collection.dim))
                found.append(np.asarray(rows, np.int64))
        return Segment(index, np.concatenate(found))

    def _beginning(self, plan: Plan) -> "tuple[Any, Rows]":
        import numpy as np  # noqa: PLC0415 - as above

        path = self._snapshots.path_of(plan.collection) if plan.old is not None else None
        if path is None or plan.old is None:
            return graph(plan.collection.dim, plan.collection.metric, plan.count), np.empty(0, np.int64)
        self.worker.beat(ahead_s=path.stat().st_size / _BYTES_A_SECOND)
        index = faiss().read_index(str(path))  # a copy in memory, as the mapped one cannot change
        reserve(index, plan.count)
        return index, plan.old.rows
