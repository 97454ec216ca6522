"""FAISS over one collection: derived from SQLite, exact, addressed by SQLite's row ids. Lives in its owner's thread."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Index:
    """Vectors of length 1, so that the inner product is the cosine."""

    def __init__(self, dim: int) -> None:
        import faiss  # noqa: PLC0415 - 0.15 s and 30 MB, for those who have vectors

        self._faiss: Any = faiss
        self._index: Any = faiss.IndexIDMap2(faiss.IndexFlatIP(dim))

    def put(self, rows: Sequence[int], vectors: "NDArray[np.float32]") -> None:
        """Add or replace rows; `vectors` has the shape [rows, dim]."""
        self.remove(rows)
        self._index.add_with_ids(vectors, self._ids(rows))

    def remove(self, rows: Iterable[int]) -> None:
        """Remove rows; unknown ones do no harm."""
        self._index.remove_ids(self._ids(list(rows)))

    def search(
        self, vector: "NDArray[np.float32]", top_k: int, *, among: Sequence[int] | None = None
    ) -> list[tuple[int, float]]:
        """Return up to `top_k` pairs of row and cosine, best first; with `among`, of these rows only."""
        parameters = None
        if among is not None:
            parameters = self._faiss.SearchParameters(sel=self._faiss.IDSelectorBatch(self._ids(among)))
        scores, rows = self._index.search(vector.reshape(1, -1), top_k, params=parameters)
        return [(int(row), float(score)) for row, score in zip(rows[0], scores[0], strict=True) if row >= 0]

    @staticmethod
    def _ids(rows: Sequence[int]) -> "NDArray[np.int64]":
        import numpy as np  # noqa: PLC0415 - FAISS has it imported

        return np.asarray(rows, np.int64)
