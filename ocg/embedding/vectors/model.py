"""What the parts of the store hand to each other."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ocg.errors import Code, OcgError
from ocg.protocol.vectors import Metric

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ocg.embedding.encoder import Embedded

    Vector = NDArray[np.float32]
    Matrix = NDArray[np.float32]
    Rows = NDArray[np.int64]


class Embedder(Protocol):
    """What makes vectors of texts."""

    name: str
    dim: int

    async def embed(self, texts: Sequence[str]) -> "list[Embedded]":
        """Embed texts, in their order."""


@dataclass(frozen=True, slots=True)
class Collection:
    """A collection's row in vectors.db; rows of vectors up to `since` are another model's, and not searched."""

    number: int
    name: str
    model: str | None
    dim: int
    metric: Metric
    created_at: float
    since: int
    reindexing: bool
    cursor: int
    total: int

    @property
    def shape(self) -> tuple[int, str | None, int, Metric, int]:
        """What an index of it depends on."""
        return self.number, self.model, self.dim, self.metric, self.since

    def check_model(self, loaded: str, dim: int) -> None:
        """Raise CONFLICT when the loaded model is not the one that this collection was made with."""
        if self.model is None:
            raise OcgError(
                Code.CONFLICT,
                f"the collection {self.name!r} has no model: its vectors come from the client",
                "send vectors, or make a collection with a model",
            )
        if (self.model, self.dim) != (loaded, dim):
            raise OcgError(
                Code.CONFLICT,
                f"the collection {self.name!r} was made with {self.model} ({self.dim} dimensions),"
                f" the model now is {loaded} ({dim})",
                "go back to that model, embed its texts anew with `reindex`, or use another collection",
            )


@dataclass(frozen=True, slots=True)
class Prepared:
    """An item that fits its collection; `vector` is None while its text has not been embedded."""

    id: str
    text: str | None
    vector: "Vector | None"
    metadata: str
    fields: tuple[tuple[str, str, "str | int | float"], ...]

    @property
    def made(self) -> "Vector":
        """The vector, which every text has got by now."""
        assert self.vector is not None  # noqa: S101 - prepare.embed made it
        return self.vector


@dataclass(frozen=True, slots=True)
class Change:
    """What a commit did to the rows of a collection: `added` came (with these vectors), then `removed` went."""

    added: list[int]
    removed: list[int]


@dataclass(frozen=True, slots=True)
class Limits:
    """When what is derived is built anew; the figures are measured, tests have smaller ones."""

    # FAISS scans 5,000 x 384 floats in 0.3 ms, 10,000 in 1.4 and 20,000 in 4.8; a graph of 100,000 takes 0.3 to 0.5.
    flat_max: int = 5_000
    # A part of what the graph has: 0.1 of 1,000,000 is scanned in 20 ms, and the graph is written ten times as often
    # at the most as it doubles.
    share: float = 0.1
    # When nobody has written for a while, less is enough: a search scans 1,000 beside the graph, 10,000 at a million.
    quiet_s: float = 5.0
    quiet_max: int = 1_000
    quiet_share: float = 0.01
    retry_s: float = 60.0
