"""What answers the searches of one collection: a base that was built, and what came since. One thread owns it."""

from heapq import nlargest
from typing import TYPE_CHECKING

from ocg.embedding.vectors.model import Collection, Limits
from ocg.embedding.vectors.segment import Query, Segment
from ocg.protocol.vectors import IndexState

if TYPE_CHECKING:
    from ocg.embedding.vectors.model import Matrix, Rows, Vector


class CollectionIndex:
    """At most one base, which only loses rows, and flat segments behind it that rows are appended to."""

    def __init__(self, collection: Collection, base: Segment | None = None) -> None:
        self.collection = collection
        self.base = base
        self._fresh: list[Segment] = []
        self.highest = collection.since
        if base is not None and base.size:
            self.highest = max(self.highest, int(base.rows[-1]))

    @property
    def alive(self) -> int:
        """How many vectors are searched."""
        return sum(one.size - one.dead for one in self._segments)

    @property
    def _segments(self) -> list[Segment]:
        return [self.base, *self._fresh] if self.base is not None else self._fresh

    def state(self, *, building: bool) -> IndexState:
        """Say what it is."""
        base = self.base
        return IndexState(
            kind="hnsw" if base is not None and base.is_graph else "flat" if self._segments else "none",
            loaded=True,
            building=building,
            indexed=base.size - base.dead if base is not None else 0,
            recent=sum(one.size - one.dead for one in self._fresh),
            dead=sum(one.dead for one in self._segments),
        )

    def wants_build(self, limits: Limits, *, quiet: bool = False) -> bool:
        """Whether so much came or went since the base was built that it pays to build another; now it is `quiet`."""
        base = self.base.size if self.base is not None else 0
        dead = self.base.dead if self.base is not None else 0
        fresh = sum(one.size for one in self._fresh)
        if quiet and base and fresh > max(limits.quiet_max, int(limits.quiet_share * base)):
            return True
        return max(fresh, dead) > max(limits.flat_max, int(limits.share * base))

    def watermark(self, limits: Limits) -> int:
        """Return the row up to which a base is built next: it doubles at the most, so that a stop loses no more."""
        import numpy as np  # noqa: PLC0415 - FAISS has it imported

        rows = np.concatenate([one.rows for one in self._fresh] or [np.empty(0, np.int64)])
        most = max(10 * limits.flat_max, self.base.size if self.base is not None else 0)
        return int(rows[most - 1]) if len(rows) > most else self.highest

    def append(self, rows: "Rows", vectors: "Matrix") -> None:
        """Add rows; those that are not above all that are here are here already."""
        new = rows > self.highest
        rows, vectors = rows[new], vectors[new]
        at = 0
        while at < len(rows):
            if not self._fresh or not self._fresh[-1].room:
                self._fresh.append(Segment.empty(self.collection.dim, self.collection.metric))
            until = min(len(rows), at + self._fresh[-1].room)
            self._fresh[-1].append(rows[at:until], vectors[at:until])
            at = until
        if len(rows):
            self.highest = int(rows[-1])

    def kill(self, rows: "Rows") -> None:
        """Let rows be found no more; a segment of which nothing is left goes."""
        if not len(rows):
            return
        for segment in self._segments:
            segment.kill(rows)
        self._fresh = [one for one in self._fresh if one.dead < one.size]

    def alive_rows(self) -> "Rows":
        """Return all rows that are searched, in their order."""
        import numpy as np  # noqa: PLC0415 - FAISS has it imported

        return np.concatenate([np.empty(0, np.int64), *(one.alive_rows for one in self._segments)])

    def search(self, vector: "Vector", top_k: int, among: "Rows | None" = None) -> list[tuple[int, float]]:
        """Return up to `top_k` pairs of row and score, best first; with `among`, of these rows only."""
        query = Query(vector, top_k, self.collection.metric)
        found: list[tuple[int, float]] = []
        for segment in self._segments:
            found += segment.search(query) if among is None else segment.search_among(query, among)
        return nlargest(top_k, found, key=lambda pair: pair[1])

    def rebased(self, base: Segment, watermark: int) -> "CollectionIndex | None":
        """Return this index with another base, which was built from what was alive up to `watermark`.

        As rows never change, what has gone meanwhile is told by the numbers alone. None: the base lacks a row.
        """
        import numpy as np  # noqa: PLC0415 - as above

        alive = self.alive_rows()
        alive = alive[alive <= watermark]
        gone = np.setdiff1d(base.rows, alive, assume_unique=True)
        if base.size - len(gone) != len(alive):
            return None
        base.kill(gone)
        made = CollectionIndex(self.collection, base)
        made.highest = watermark
        for segment in self._fresh:
            if int(segment.rows[0]) > watermark:
                made._fresh.append(segment)
            else:
                made.append(*segment.behind(watermark))
        made.highest = max(self.highest, watermark)
        return made
