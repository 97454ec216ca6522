"""A FAISS index and which rows of vectors.db its positions are. Lives in its owner's thread."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ocg.embedding.vectors.model import Matrix, Rows, Vector

# Measured on 100,000 clustered vectors of 384 dimensions and 24 degrees of freedom (docs/vectors.md): M=24 finds no
# more for its 64 bytes a vector, and efSearch=64 0.001 less. A larger collection needs more of it: so 96.
M = 16
EF_CONSTRUCTION = 100
EF_SEARCH = 96
_MAX_EF = 4096
# About so many vectors are compared for each step of efSearch (M=16).
_COMPARED = 16
BLOCK_ROWS = 8192


def faiss() -> Any:
    """Return FAISS, imported at first use: 0.15 s and 30 MB, for those who have vectors."""
    import faiss as library  # noqa: PLC0415 - as said

    return library


def flat(dim: int, metric: str) -> Any:
    """Return an empty index that compares with every vector."""
    return faiss().IndexFlat(dim, _metric(metric))


def graph(dim: int, metric: str, size: int) -> Any:
    """Return an empty index for so many vectors.

    A graph finds what has the largest inner product only among vectors of one length, so for `dot` it is a flat index.
    """
    if metric == "dot":
        made = flat(dim, metric)
        reserve(made, size)
        return made
    made = faiss().IndexHNSWFlat(dim, M, _metric(metric))
    made.hnsw.efConstruction = EF_CONSTRUCTION
    reserve(made, size)
    return made


def reserve(index: Any, size: int) -> None:
    """Have an index take the memory for so many vectors at once."""
    _reserve(storage(index).codes, size * index.d * 4)
    if hasattr(index, "hnsw"):
        _reserve(index.hnsw.neighbors, size * 2 * M)


def storage(index: Any) -> Any:
    """Return the flat index in which a graph keeps its vectors; a flat index is that itself."""
    return faiss().downcast_index(index.storage) if hasattr(index, "hnsw") else index


def _metric(metric: str) -> int:
    return int(faiss().METRIC_L2 if metric == "l2" else faiss().METRIC_INNER_PRODUCT)


def _reserve(vector: Any, size: int) -> None:
    """Have a C++ vector take all its memory at once: one that grows copies itself, and has thrice its size for that."""
    has = vector.size()
    vector.resize(max(size, has))
    vector.resize(has)


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for: `vector` has the shape [dim], and length 1 where the metric is the cosine."""

    vector: "Vector"
    top_k: int
    metric: str


class Segment:
    """Vectors by position, a position's row, and which of them are alive. Rows ascend with positions."""

    def __init__(self, index: Any, rows: "Rows") -> None:
        """Take an index and its rows, all alive; `rows` may have room for more than the index has."""
        import numpy as np  # noqa: PLC0415 - FAISS has it imported

        self._np = np
        self._index = index
        self._rows = rows
        self._alive = np.full((len(rows) + 7) // 8, 255, np.uint8)  # a bit each, as IDSelectorBitmap reads it
        self._usual: Any = None
        self.dead = 0

    @classmethod
    def empty(cls, dim: int, metric: str) -> "Segment":
        """Make one to append to, of BLOCK_ROWS: so no growing index has its size twice."""
        import numpy as np  # noqa: PLC0415 - as above

        return cls(flat(dim, metric), np.empty(BLOCK_ROWS, np.int64))

    @property
    def size(self) -> int:
        """How many vectors it holds, dead ones too."""
        return int(self._index.ntotal)

    @property
    def is_graph(self) -> bool:
        """Whether it is searched by a graph."""
        return hasattr(self._index, "hnsw")

    @property
    def room(self) -> int:
        """How many more it takes."""
        return len(self._rows) - self.size

    @property
    def rows(self) -> "Rows":
        """The rows of all positions."""
        return self._rows[: self.size]

    @property
    def alive_rows(self) -> "Rows":
        """The rows that are alive."""
        bits = self._np.unpackbits(self._alive, bitorder="little", count=self.size)
        alive: Rows = self.rows[bits.astype(bool)]
        return alive

    @property
    def index(self) -> Any:
        """FAISS's own object, to be written; nobody changes a base."""
        return self._index

    def append(self, rows: "Rows", vectors: "Matrix") -> None:
        """Add vectors, as many as there is room for at the most; their rows are above all that are here."""
        at = self.size
        self._rows[at : at + len(rows)] = rows
        self._index.add(vectors)

    def kill(self, rows: "Rows") -> None:
        """Let rows be found no more; unknown and dead ones do no harm."""
        at = self.positions(rows)
        bits, bytes_ = (1 << (at & 7)).astype(self._np.uint8), at >> 3
        before = int(self._np.count_nonzero(self._alive[bytes_] & bits))
        self._np.bitwise_and.at(self._alive, bytes_, ~bits)
        self.dead += before

    def positions(self, rows: "Rows") -> "Rows":
        """Return the positions of those rows that are here."""
        known = self.rows
        at = self._np.searchsorted(known, rows)
        inside = at < len(known)
        at, rows = at[inside], rows[inside]
        found: Rows = at[known[at] == rows]
        return found

    def behind(self, row: int) -> "tuple[Rows, Matrix]":
        """Return what is alive with a higher row than this, and the vectors."""
        rows = self.alive_rows
        rows = rows[rows > row]
        vectors: Matrix = self._index.reconstruct_batch(self.positions(rows))
        return rows, vectors

    def search(self, query: Query) -> "list[tuple[int, float]]":
        """Return up to `top_k` pairs of row and score."""
        selector = faiss().IDSelectorBitmap(self._alive) if self.dead else None
        return self._found(query, selector, self.size - self.dead)

    def search_among(self, query: Query, rows: "Rows") -> "list[tuple[int, float]]":
        """Return the nearest of some rows; none is missed."""
        at = self.positions(rows)
        at = at[(self._alive[at >> 3] >> (at & 7)) & 1 == 1]
        # A graph of n compares with about 16 * efSearch vectors, and for so many of a part p of them with 1/p as many.
        # Comparing with all of the part is cheaper up to where p * n is the same.
        if not self.is_graph or len(at) ** 2 <= _COMPARED * EF_SEARCH * self.size:
            return self._exact(query, at)
        bitmap = self._np.zeros_like(self._alive)
        self._np.bitwise_or.at(bitmap, at >> 3, (1 << (at & 7)).astype(self._np.uint8))
        found = self._found(query, faiss().IDSelectorBitmap(bitmap), len(at))
        return found if len(found) >= min(query.top_k, len(at)) else self._exact(query, at)

    def _exact(self, query: Query, at: "Rows") -> "list[tuple[int, float]]":
        if not len(at):
            return []
        parameters = faiss().SearchParameters(sel=faiss().IDSelectorArray(at))
        return self._pairs(query, storage(self._index), parameters)

    def _found(self, query: Query, selector: Any, eligible: int) -> "list[tuple[int, float]]":
        if not eligible:
            return []
        if not self.is_graph:
            parameters = faiss().SearchParameters(sel=selector) if selector else None
            return self._pairs(query, self._index, parameters)
        # What the selector refuses takes a place in the queue of efSearch all the same.
        wanted = max(EF_SEARCH, 2 * query.top_k) * self.size // eligible
        parameters = self._parameters(selector, min(wanted, _MAX_EF))
        return self._pairs(query, self._index, parameters)

    def _parameters(self, selector: Any, ef: int) -> Any:
        """Return a search's parameters; those that most searches have are made once."""
        if selector is None and ef == EF_SEARCH:
            if self._usual is None:
                self._usual = faiss().SearchParametersHNSW(efSearch=ef)
            return self._usual
        return faiss().SearchParametersHNSW(sel=selector, efSearch=ef)

    def _pairs(self, query: Query, index: Any, parameters: Any) -> "list[tuple[int, float]]":
        scores, at = index.search(query.vector.reshape(1, -1), min(query.top_k, self.size), params=parameters)
        scores, at = scores[0], at[0]
        scores, at = scores[at >= 0], at[at >= 0]
        if query.metric == "l2":  # FAISS gives the square
            scores = -self._np.sqrt(self._np.maximum(scores, 0))
        return list(zip(self._rows[at].tolist(), scores.tolist(), strict=True))
