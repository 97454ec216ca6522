"""Searches and indexes in one thread: a search is one job, in which FAISS finds rows and SQLite says what they are."""

import logging
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ocg.embedding.vectors import filters, readonly, truth
from ocg.embedding.vectors.builder import Built, Plan
from ocg.embedding.vectors.index import CollectionIndex
from ocg.embedding.vectors.model import Change, Collection, Limits, Prepared
from ocg.embedding.vectors.segment import faiss
from ocg.embedding.vectors.snapshot import Snapshots
from ocg.errors import Code, OcgError
from ocg.lifecycle.worker import Worker
from ocg.protocol.vectors import Filter, IndexState, SearchResult

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocg.embedding.vectors.model import Vector

_log = logging.getLogger(__name__)
_LOAD_ROWS = 4096


@dataclass(frozen=True, slots=True)
class Asked:
    """A search; its vector has the shape [dim]."""

    vector: "Vector"
    top_k: int
    filter: Filter
    min_score: float | None


class Searcher:
    """Owns the thread, and all that is derived from vectors.db. Most methods are called in that thread."""

    def __init__(self, path: Path, snapshots: Snapshots, limits: Limits, highest_row: int) -> None:
        self.worker = Worker("vectors-search")
        self._path = path
        self._snapshots = snapshots
        self._limits = limits
        self._highest_row = highest_row
        self._open: sqlite3.Connection | None = None
        self._indexes: dict[int, CollectionIndex] = {}
        self._unsaved: dict[int, int] = {}
        self._unseen: dict[int, int] = {}  # what was written to a collection that is not loaded
        self._version = 0
        # Writes that have begun, and those that the indexes know of: the difference is what a search may not see.
        self._begun = 0
        self._applied = 0
        # What is to be built now, and what is when nobody writes.
        self.due: set[int] = set()
        self.due_when_quiet: set[int] = set()

    async def close(self, timeout_s: float) -> None:
        """Close what is open. Called in the event loop."""
        await self.worker.close(timeout_s)
        if self._open is not None:
            self._open.close()

    def announce(self) -> None:
        """Say that a write begins. Called in the event loop; `apply` or `skip` must follow."""
        self._begun += 1

    def skip(self) -> None:
        """Take back what was announced: nothing was written."""
        self._applied += 1

    def state(self, collection: Collection, *, building: bool) -> IndexState:
        """Say what there is. Called in the event loop: what it reads is a glance, and nothing of it is changed."""
        index = self._indexes.get(collection.number)
        if index is None:
            return IndexState(kind="none", loaded=False, building=building)
        return index.state(building=building)

    def search(self, collection: Collection, asked: Asked) -> SearchResult | None:
        """Search. None: what is written at this moment must be waited for, or something would be missed."""
        self._look_for_others()
        index = self.index(collection)
        if asked.filter and self._begun != self._applied:
            return None
        among = None
        if asked.filter:
            sql, parameters = filters.matching(collection.number, asked.filter)
            among = truth.rows(self._db, sql, parameters)
            among.sort()
        found = index.search(asked.vector, asked.top_k, among)
        if asked.min_score is not None:
            found = [pair for pair in found if pair[1] >= asked.min_score]
        hits = truth.hits(self._db, found)
        if len(hits) < len(found) and self._begun != self._applied:
            return None
        return SearchResult(hits=hits, complete=not truth.has_stale(self._db, collection))

    def apply(self, collection: Collection, change: Change, items: "Sequence[Prepared]") -> None:
        """Follow a commit; an index that cannot is thrown away, and loaded anew by the next search."""
        import numpy as np  # noqa: PLC0415 - llama_cpp has it imported

        self._applied += 1
        index = self._indexes.get(collection.number)
        if index is None:
            self._unseen[collection.number] = self._unseen.get(collection.number, 0) + len(change.added)
            if self._unseen[collection.number] > self._limits.quiet_max:
                self.index(collection)  # of so many the first search would have to wait
            return
        try:
            kept = [at for at, row in enumerate(change.added) if row]
            if kept:
                vectors = np.stack([items[at].made for at in kept])
                index.append(np.array([change.added[at] for at in kept], np.int64), vectors)
            index.kill(np.array(change.removed, np.int64))
        except Exception as error:  # noqa: BLE001 - whatever it was, the commit stands and SQLite has it
            del self._indexes[collection.number]
            _log.warning("the index of %r is dropped: %s", collection.name, error)
        else:
            self._judge(collection, index)
        self._version = readonly.data_version(self._db)

    def forget(self, number: int) -> None:
        """Drop a collection's index and its snapshot."""
        self._indexes.pop(number, None)
        self._unsaved.pop(number, None)
        self.due.discard(number)
        self.due_when_quiet.discard(number)
        self._snapshots.remove(number)

    def index(self, collection: Collection) -> CollectionIndex:
        """Return a collection's index, loaded where it is not."""
        found = self._indexes.get(collection.number)
        if found is not None and found.collection.since > collection.since:
            raise OcgError(Code.CONFLICT, f"the collection {collection.name!r} was changed meanwhile", "try again")
        if found is None or found.collection.shape != collection.shape:
            self._unseen.pop(collection.number, None)
            found = self._loaded(collection)
            self._indexes[collection.number] = found
            self._judge(collection, found)
        return found

    def plan(self, collection: Collection, *, quiet: bool) -> Plan | None:
        """Say what to build; None when it is not due any more."""
        self.due.discard(collection.number)
        index = self._indexes.get(collection.number)
        if index is None or index.collection.shape != collection.shape:
            return None
        if not index.alive:
            self.forget(collection.number)
            return None
        base, unsaved = index.base, self._unsaved.get(collection.number)
        if not index.wants_build(self._limits, quiet=quiet):
            if unsaved is None or base is None:
                return None
            return Plan(collection, unsaved, None, base.size, made=base)
        # Dead ones are carried along for as long as they are few.
        grows = base is not None and unsaved is None and base.dead <= max(1, self._limits.share * base.size)
        watermark = index.watermark(self._limits)
        count = int((index.alive_rows() <= watermark).sum()) + (base.dead if grows and base is not None else 0)
        return Plan(collection, watermark, base if grows else None, count)

    def rebase(self, plan: Plan, built: Built) -> bool:
        """Put a base in its place; return whether it still fits."""
        number = plan.collection.number
        index = self._indexes.get(number)
        made = None
        if index is not None and index.collection.shape == plan.collection.shape:
            made = index.rebased(built.base, plan.watermark)
        if made is None:
            _log.info("the collection %r was changed while its index was built", plan.collection.name)
            self._indexes.pop(number, None)
            self._snapshots.remove(number)
            return False
        self._indexes[number] = made
        self._unsaved.pop(number, None)
        if built.saved:
            self._highest_row = max(self._highest_row, plan.watermark)
        else:
            self._unsaved[number] = plan.watermark
        self._judge(plan.collection, made)
        return True

    @property
    def _db(self) -> sqlite3.Connection:
        if self._open is None:
            self._open = readonly.connect(self._path)
        return self._open

    def _judge(self, collection: Collection, index: CollectionIndex) -> None:
        if index.wants_build(self._limits):
            self.due.add(collection.number)
        elif index.wants_build(self._limits, quiet=True):
            self.due_when_quiet.add(collection.number)

    def _look_for_others(self) -> None:
        """Throw the indexes away when another program wrote to the file: SQLite is right."""
        version = readonly.data_version(self._db)
        if version != self._version and self._begun == self._applied:
            self._indexes.clear()
            self._version = version

    def _loaded(self, collection: Collection) -> CollectionIndex:
        """Load the snapshot, and bring it up to date: what it lacks is added, what it has too much is dead."""
        import numpy as np  # noqa: PLC0415 - as above

        live = truth.live_rows(self._db, collection)
        base = self._snapshots.load(collection, self._highest_row, self.worker.beat) if len(live) else None
        if base is not None:
            base.kill(np.setdiff1d(base.rows, live, assume_unique=True))
            if base.size - base.dead != np.count_nonzero(live <= base.rows[-1]):
                _log.warning("the snapshot of %r lacks vectors, it is made anew from vectors.db", collection.name)
                self._snapshots.remove(collection.number)
                base = None
        index = CollectionIndex(collection, base)
        if not len(live):
            return index
        faiss().omp_set_num_threads(1)  # threads of OpenMP would spin for the cores that others need
        for rows, data in truth.blobs(self._db, collection, index.highest, until=int(live[-1]), size=_LOAD_ROWS):
            self.worker.beat()
            if len(data) != len(rows) * collection.dim * 4:
                raise _damaged(collection, rows)
            index.append(np.asarray(rows, np.int64), np.frombuffer(data, "<f4").reshape(len(rows), collection.dim))
        return index


def _damaged(collection: Collection, rows: "Sequence[int]") -> OcgError:
    return OcgError(
        Code.DATA_DAMAGED,
        f"a vector of {collection.name!r} in the rows {rows[0]} to {rows[-1]} has not {collection.dim} dimensions",
        "delete it, or put it anew",
    )
