"""Vector stores for tests: a small one in this process, whose encoder is a double, with graphs after a few vectors."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ocg.embedding.encoder import Embedded
from ocg.embedding.vectors import VectorStore
from ocg.embedding.vectors.model import Limits
from ocg.errors import Code, OcgError
from ocg.protocol.vectors import CollectionRequest, Metric, VectorItem

DIM = 16
SMALL = Limits(flat_max=100, share=0.1, quiet_s=600, quiet_max=50, retry_s=0.05)
NEVER = replace(SMALL, flat_max=1_000_000)


class EncoderDouble:
    """A model that makes a vector of a text's letters; `refuses` are texts that it finds too long."""

    def __init__(self, name: str = "first", dim: int = DIM, refuses: Sequence[str] = ()) -> None:
        self.name = name
        self.dim = dim
        self.refuses = refuses
        self.calls: list[list[str]] = []

    async def embed(self, texts: Sequence[str]) -> list[Embedded]:
        """Embed texts."""
        self.calls.append(list(texts))
        for text in texts:
            if text in self.refuses:
                raise OcgError(Code.CONTEXT_LENGTH, f"{text!r} is too long")
        return [Embedded(self._vector(text), 1) for text in texts]

    def _vector(self, text: str) -> NDArray[np.float32]:
        made = np.random.default_rng([*text.encode(), self.dim]).standard_normal(self.dim)
        return (made / np.linalg.norm(made)).astype(np.float32)


@contextlib.asynccontextmanager
async def store(
    folder: Path, limits: Limits = SMALL, encoder: EncoderDouble | None = None
) -> AsyncIterator[VectorStore]:
    """Open a store, for the first time or again."""
    opened = await VectorStore.open(folder / "vectors.db", encoder or EncoderDouble(), limits)
    try:
        yield opened
    finally:
        await opened.close()


def points(count: int, seed: int = 1, dim: int = DIM) -> NDArray[np.float32]:
    """Make clustered vectors of different lengths."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((20, dim))
    return (centres[rng.integers(0, 20, count)] + 0.5 * rng.standard_normal((count, dim))).astype(np.float32)


async def fill(
    opened: VectorStore, vectors: NDArray[np.float32], *, name: str = "c", metric: Metric = "cosine"
) -> None:
    """Make a collection of vectors whose ids are their positions, and wait for its graph."""
    await opened.create(CollectionRequest(name=name, model=None, dim=vectors.shape[1], metric=metric))
    items = [VectorItem(id=str(at), vector=one.tolist(), metadata={"n": at}) for at, one in enumerate(vectors)]
    await opened.upsert(name, items)
    await opened.upkeep.settle()
