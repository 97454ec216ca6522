"""The vector store: vectors.db is the truth; FAISS is derived from it at first use and follows each commit."""

import asyncio
import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from ocg.database import Database
from ocg.embedding.encoder import Encoder
from ocg.embedding.index import Index
from ocg.errors import Code, OcgError
from ocg.lifecycle.worker import Worker
from ocg.protocol.messages import DeleteRequest, Hit, Metadata, SearchRequest, UpsertRequest, VectorItem

if TYPE_CHECKING:
    from ocg.embedding.encoder import Vector

_MIGRATIONS = (
    """
    CREATE TABLE collections (name TEXT PRIMARY KEY, model TEXT NOT NULL, dim INTEGER NOT NULL) STRICT;
    -- AUTOINCREMENT: FAISS knows vectors by row, so a row's number must never be given out twice.
    CREATE TABLE vectors (
        row INTEGER PRIMARY KEY AUTOINCREMENT,
        collection TEXT NOT NULL REFERENCES collections (name),
        id TEXT NOT NULL,
        vector BLOB NOT NULL,
        metadata TEXT NOT NULL,
        UNIQUE (collection, id)
    ) STRICT;
    """,
)
_UPSERT = """
    INSERT INTO vectors (collection, id, vector, metadata) VALUES (?, ?, ?, ?)
    ON CONFLICT (collection, id) DO UPDATE SET vector = excluded.vector, metadata = excluded.metadata
    RETURNING row
"""
_VARIABLES = 500  # SQLite takes 32,766 parameters; these many are a statement worth caching


@dataclass(frozen=True, slots=True)
class _Prepared:
    id: str
    vector: "Vector"
    metadata: str


class VectorStore:
    """Collections of vectors. A write is on the disk when it returns; a search sees every write that returned."""

    def __init__(self, database: Database, encoder: Encoder) -> None:
        self._database = database
        self._encoder = encoder
        self._worker = Worker("faiss")
        self._indexes: dict[str, Index] = {}
        # A commit and the index's update belong together: two upserts of one id must reach both in one order.
        self._writing = asyncio.Lock()

    @classmethod
    async def open(cls, path: Path, encoder: Encoder) -> Self:
        """Open or make vectors.db."""
        return cls(await Database.open(path, _MIGRATIONS), encoder)

    async def close(self) -> None:
        """Let what runs end, and close."""
        await self._worker.close()
        await self._database.close()

    async def count(self) -> int:
        """How many vectors there are."""
        return await self._database.read(lambda db: int(db.execute("SELECT count(*) FROM vectors").fetchone()[0]))

    async def upsert(self, request: UpsertRequest) -> int:
        """Add or replace vectors, and return how many. Raises CONFLICT for a collection of another model."""
        items = [await self._prepare(item) for item in request.items]
        return await asyncio.shield(self._put(request.collection, items))

    async def _put(self, collection: str, items: Sequence[_Prepared]) -> int:
        async with self._writing:
            index = await self._index(collection)
            rows = await self._database.write(lambda db: self._write(db, collection, items))
            # One id may stand in a request twice: the last one counts, in SQLite as in FAISS.
            latest = dict(zip(rows, items, strict=True))
            await self._worker.run(lambda: index.put(list(latest), _stack([item.vector for item in latest.values()])))
        return len(items)

    async def delete(self, request: DeleteRequest) -> int:
        """Delete vectors by id, and return how many there were."""
        return await asyncio.shield(self._drop(request.collection, request.ids))

    async def _drop(self, collection: str, ids: Sequence[str]) -> int:
        async with self._writing:
            index = await self._index(collection)
            rows = await self._database.write(lambda db: _delete(db, collection, ids))
            await self._worker.run(lambda: index.remove(rows))
        return len(rows)

    async def search(self, request: SearchRequest) -> tuple[Hit, ...]:
        """Return the nearest vectors. A filter loses none: what it lets through is searched exactly."""
        if (request.query is None) == (request.vector is None):
            raise OcgError(Code.INVALID_REQUEST, "a search takes a query or a vector", "give one of the two")
        vector = await self._vector(request.query, request.vector)
        index = await self._index(request.collection)
        among = None
        if request.filter:
            among = await self._database.read(lambda db: _matching(db, request.collection, request.filter))
            if not among:
                return ()
        found = await self._worker.run(lambda: index.search(vector, request.top_k, among=among))
        return await self._database.read(lambda db: _hits(db, found))

    async def _prepare(self, item: VectorItem) -> _Prepared:
        if (item.text is None) == (item.vector is None):
            raise OcgError(Code.INVALID_REQUEST, f"item {item.id!r} takes a text or a vector", "give one of the two")
        return _Prepared(item.id, await self._vector(item.text, item.vector), json.dumps(item.metadata))

    async def _vector(self, text: str | None, values: Sequence[float] | None) -> "Vector":
        if text is not None:
            return (await self._encoder.embed([text]))[0].vector
        return _normalised(values or (), self._encoder.dim)

    async def _index(self, collection: str) -> Index:
        """Return a collection's index, built from SQLite at its first use. Raises CONFLICT for another model's."""
        if collection not in self._indexes:
            found = await self._database.read(lambda db: _load(db, collection, self._encoder))
            rows, blobs = [row for row, _ in found], [blob for _, blob in found]
            index = await self._worker.run(lambda: _build(self._encoder.dim, rows, blobs))
            self._indexes.setdefault(collection, index)
        return self._indexes[collection]

    def _write(self, db: sqlite3.Connection, collection: str, items: Sequence[_Prepared]) -> list[int]:
        db.execute(
            "INSERT INTO collections VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            (collection, self._encoder.name, self._encoder.dim),
        )
        return [
            int(db.execute(_UPSERT, (collection, item.id, item.vector.tobytes(), item.metadata)).fetchone()[0])
            for item in items
        ]


def _load(db: sqlite3.Connection, collection: str, encoder: Encoder) -> list[tuple[int, bytes]]:
    found = db.execute("SELECT model, dim FROM collections WHERE name = ?", (collection,)).fetchone()
    if found and tuple(found) != (encoder.name, encoder.dim):
        raise OcgError(
            Code.CONFLICT,
            f"the collection {collection!r} was made with {found['model']} ({found['dim']} dimensions),"
            f" the model now is {encoder.name} ({encoder.dim})",
            "go back to that model, or use another collection",
        )
    return [tuple(row) for row in db.execute("SELECT row, vector FROM vectors WHERE collection = ?", (collection,))]


def _delete(db: sqlite3.Connection, collection: str, ids: Sequence[str]) -> list[int]:
    sql = "DELETE FROM vectors WHERE collection = ? AND id = ? RETURNING row"
    return [row[0] for one in ids for row in db.execute(sql, (collection, one)).fetchall()]


def _matching(db: sqlite3.Connection, collection: str, wanted: Metadata) -> list[int]:
    """Return the rows whose metadata has every wanted value; keys are compared whole, whatever is in them."""
    clause = " AND EXISTS (SELECT 1 FROM json_each(metadata) WHERE key = ? AND value IS ?)"
    parameters = [part for pair in wanted.items() for part in pair]
    sql = f"SELECT row FROM vectors WHERE collection = ?{clause * len(wanted)}"
    return [row[0] for row in db.execute(sql, (collection, *parameters))]


def _hits(db: sqlite3.Connection, found: Sequence[tuple[int, float]]) -> tuple[Hit, ...]:
    """Add ids and metadata; a row deleted since the search is left out."""
    rows = [row for row, _ in found]
    known: dict[int, sqlite3.Row] = {}
    for at in range(0, len(rows), _VARIABLES):
        part = rows[at : at + _VARIABLES]
        marks = ",".join("?" * len(part))
        known |= {
            row["row"]: row for row in db.execute(f"SELECT row, id, metadata FROM vectors WHERE row IN ({marks})", part)
        }
    return tuple(
        Hit(id=known[row]["id"], score=min(score, 1.0), metadata=json.loads(known[row]["metadata"]))
        for row, score in found
        if row in known
    )


def _build(dim: int, rows: list[int], blobs: list[bytes]) -> Index:
    import numpy as np  # noqa: PLC0415 - llama_cpp has it imported

    index = Index(dim)
    if rows:
        index.put(rows, np.frombuffer(b"".join(blobs), np.float32).reshape(len(rows), dim))
    return index


def _stack(vectors: Sequence["Vector"]) -> "Vector":
    import numpy as np  # noqa: PLC0415 - as above

    return np.stack(vectors)


def _normalised(values: Sequence[float], dim: int) -> "Vector":
    import numpy as np  # noqa: PLC0415 - as above

    if len(values) != dim:
        raise OcgError(
            Code.INVALID_REQUEST, f"the vector has {len(values)} dimensions, the model has {dim}", f"send {dim} numbers"
        )
    vector = np.asarray(values, np.float64)
    norm = float(np.linalg.norm(vector))
    if not np.isfinite(norm) or norm == 0:
        raise OcgError(Code.INVALID_REQUEST, "the vector has no direction", "send finite numbers, not all zero")
    return (vector / norm).astype(np.float32)
