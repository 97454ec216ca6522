"""The bodies of the vector store's requests and answers."""

from typing import Annotated, Literal

import msgspec

from ocg.protocol.messages import MAX_ID_CHARS, Metadata, Text
from ocg.protocol.struct import Struct

MAX_DIM = 8192
MAX_TOP_K = 1000
MAX_ITEMS = 10_000

# SQLite and C end a text at NUL. A lone surrogate never comes this far: it is no valid JSON to msgspec.
Key = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ID_CHARS, pattern="^[^\\u0000]+$")]
Metric = Literal["cosine", "dot", "l2"]
Numbers = Annotated[list[float], msgspec.Meta(min_length=1, max_length=MAX_DIM)]
# Numbers, or little-endian float32 in base64, which is read twice as fast.
Given = Numbers | str
Scalar = str | int | float | bool | None
Operators = dict[str, Scalar | list[Scalar]]
Filter = dict[str, Scalar | Operators]
TopK = Annotated[int, msgspec.Meta(ge=1, le=MAX_TOP_K)]
Ids = Annotated[list[Key], msgspec.Meta(max_length=MAX_ITEMS)]


class CollectionRequest(Struct, frozen=True):
    """A collection to make. Without a model it is for the loaded one; with null, the client brings the vectors."""

    name: Key
    dim: Annotated[int, msgspec.Meta(ge=1, le=MAX_DIM)] | None = None
    metric: Metric = "cosine"
    model: Annotated[str, msgspec.Meta(min_length=1, max_length=256)] | msgspec.UnsetType | None = msgspec.UNSET


class IndexState(Struct, frozen=True):
    """What answers searches: `indexed` vectors in the graph, `recent` beside it, `dead` ones that it still holds."""

    kind: Literal["none", "flat", "hnsw"]
    loaded: bool
    building: bool
    indexed: int = 0
    recent: int = 0
    dead: int = 0


class ReindexState(Struct, frozen=True):
    """How far re-embedding is. `stale` vectors are another model's still; those without a text stay so."""

    running: bool
    done: int
    stale: int
    without_text: int


class CollectionInfo(Struct, frozen=True):
    """A collection; `created_at` is in Unix seconds, 0 where an older OCG made it."""

    name: str
    model: str | None
    dim: int
    metric: Metric
    count: int
    created_at: float
    index: IndexState
    reindex: ReindexState | None = None


class CollectionList(Struct, frozen=True):
    """All collections, by name."""

    collections: list[CollectionInfo]


class VectorItem(Struct, frozen=True):
    """Something to keep: a text to embed, a vector, or both, when the vector counts and the text is kept with it."""

    id: Key
    text: Text | None = None
    vector: Given | None = None
    metadata: Metadata = msgspec.field(default_factory=dict)


class UpsertRequest(Struct, frozen=True):
    """Vectors to add or replace; they are on disk when the answer comes."""

    items: Annotated[list[VectorItem], msgspec.Meta(min_length=1, max_length=MAX_ITEMS)]


class Picked(Struct, frozen=True):
    """Vectors by id, or those that a filter lets through; with both, those that are in both."""

    ids: Ids | None = None
    filter: Filter = msgspec.field(default_factory=dict)


class GetRequest(Picked, frozen=True):
    """Vectors to read, at most `limit`, in the order they were put."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_ITEMS)] = 1000
    vectors: bool = False


class CountRequest(Struct, frozen=True):
    """What to count: all, or what a filter lets through."""

    filter: Filter = msgspec.field(default_factory=dict)


class Item(Struct, frozen=True):
    """What is kept. A vector of a `cosine` collection has length 1."""

    id: str
    text: str | None
    metadata: Metadata
    vector: list[float] | None = None


class ItemList(Struct, frozen=True):
    """Vectors, the one that was put first first."""

    items: list[Item]


class SearchRequest(Struct, frozen=True):
    """The nearest to a text or a vector, among those the filter lets through, if they score `min_score` or more."""

    text: Text | None = None
    vector: Given | None = None
    top_k: TopK = 10
    filter: Filter = msgspec.field(default_factory=dict)
    min_score: float | None = None


class Hit(Struct, frozen=True):
    """A vector found; the higher its score the nearer, whatever the metric: for `l2` it is minus the distance."""

    id: str
    score: float
    metadata: Metadata
    text: str | None = None


class SearchResult(Struct, frozen=True):
    """Hits, best first. `complete` is false while some vectors are another model's and cannot be searched."""

    hits: list[Hit]
    complete: bool = True
