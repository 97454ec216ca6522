"""The vector store: vectors.db is the truth; FAISS is derived from it at first use and follows each commit."""

import asyncio
import json
import logging
import sqlite3
from collections.abc import Callable, Sequence
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
    from ocg.embedding.encoder.texts import Vector

Value = str | int | float | bool | None

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
_log = logging.getLogger(__name__)
_MAX_INTEGER = 2**63  # SQLite's
_CLOSE_S = 1.0
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
        self._version = 0
        # Holds commits, the updates of the indexes and their building apart: all see one order of writes.
        self._lock = asyncio.Lock()

    @classmethod
    async def open(cls, path: Path, encoder: Encoder) -> Self:
        """Open or make vectors.db."""
        return cls(await Database.open(path, _MIGRATIONS), encoder)

    @property
    def workers(self) -> tuple[Worker, ...]:
        """The threads it works in."""
        return self._worker, self._database.worker

    async def close(self) -> None:
        """Let what runs end, and close."""
        await self._worker.close(_CLOSE_S)
        try:
            async with asyncio.timeout(_CLOSE_S):
                await self._database.close()
        except TimeoutError:
            _log.warning("vectors.db is still busy; what was acknowledged is in it")

    async def count(self) -> int:
        """How many vectors there are."""
        return await self._database.read(lambda db: int(db.execute("SELECT count(*) FROM vectors").fetchone()[0]))

    async def upsert(self, request: UpsertRequest) -> int:
        """Add or replace vectors, and return how many. Raises CONFLICT for a collection of another model."""
        items = [await self._prepare(item) for item in request.items]
        return await asyncio.shield(self._put(request.collection, items))

    async def _put(self, collection: str, items: Sequence[_Prepared]) -> int:
        async with self._lock:
            rows = await self._database.write(lambda db: _write(db, collection, items, self._encoder))
            # One id may stand in a request twice: the last one counts, in SQLite as in FAISS.
            latest = dict(zip(rows, items, strict=True))
            vectors = _stack([item.vector for item in latest.values()])
            await self._update(collection, lambda index: index.put(list(latest), vectors))
        return len(items)

    async def delete(self, request: DeleteRequest) -> int:
        """Delete vectors by id, and return how many there were. A collection of another model can be emptied too."""
        return await asyncio.shield(self._drop(request.collection, request.ids))

    async def _drop(self, collection: str, ids: Sequence[str]) -> int:
        async with self._lock:
            rows = await self._database.write(lambda db: _delete(db, collection, ids))
            await self._update(collection, lambda index: index.remove(rows))
        return len(rows)

    async def _update(self, collection: str, change: Callable[[Index], None]) -> None:
        """Let an index that is there follow a commit; one that cannot is thrown away, and built anew when needed."""
        index = self._indexes.get(collection)
        if index is None:
            return
        try:
            await self._worker.run(lambda: change(index))
        except Exception as error:  # noqa: BLE001 - whatever it was, the commit stands and SQLite has it
            del self._indexes[collection]
            _log.warning("the index of %r is dropped: %s", collection, error)

    async def search(self, request: SearchRequest) -> tuple[Hit, ...]:
        """Return the nearest vectors. A filter loses none: what it lets through is searched exactly."""
        if (request.query is None) == (request.vector is None):
            raise OcgError(Code.INVALID_REQUEST, "a search takes a query or a vector", "give one of the two")
        _check_metadata(request.filter, "filter")
        vector = await self._vector(request.query, request.vector)
        index = await self._index(request.collection)
        if index is None:
            return ()
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
        _check_metadata(item.metadata, "metadata")
        return _Prepared(item.id, await self._vector(item.text, item.vector), json.dumps(item.metadata))

    async def _vector(self, text: str | None, values: Sequence[float] | None) -> "Vector":
        if text is not None:
            return (await self._encoder.embed([text]))[0].vector
        return _normalised(values or (), self._encoder.dim)

    async def _index(self, collection: str) -> Index | None:
        """Return a collection's index, or None when it has no vectors. Raises CONFLICT for another model's."""
        version = await self._database.read(_data_version)
        if version == self._version and collection in self._indexes:
            return self._indexes[collection]
        async with self._lock:
            version = await self._database.read(_data_version)
            if version != self._version:  # somebody else wrote to the file: SQLite is right
                self._indexes.clear()
                self._version = version
            if collection not in self._indexes:
                found = await self._database.read(lambda db: _load(db, collection, self._encoder))
                if not found:
                    return None
                rows, blobs = [row for row, _ in found], [blob for _, blob in found]
                self._indexes[collection] = await self._worker.run(lambda: _build(self._encoder.dim, rows, blobs))
            return self._indexes[collection]


def _data_version(db: sqlite3.Connection) -> int:
    """Return a number that changes when another connection has written (sqlite.org/pragma.html#pragma_data_version)."""
    return int(db.execute("PRAGMA data_version").fetchone()[0])


def _write(db: sqlite3.Connection, collection: str, items: Sequence[_Prepared], encoder: Encoder) -> list[int]:
    _check_model(db, collection, encoder)
    db.execute(
        "INSERT INTO collections VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (collection, encoder.name, encoder.dim)
    )
    return [
        int(db.execute(_UPSERT, (collection, item.id, item.vector.tobytes(), item.metadata)).fetchone()[0])
        for item in items
    ]


def _check_model(db: sqlite3.Connection, collection: str, encoder: Encoder) -> None:
    found = db.execute("SELECT model, dim FROM collections WHERE name = ?", (collection,)).fetchone()
    if found and tuple(found) != (encoder.name, encoder.dim):
        raise OcgError(
            Code.CONFLICT,
            f"the collection {collection!r} was made with {found['model']} ({found['dim']} dimensions),"
            f" the model now is {encoder.name} ({encoder.dim})",
            "go back to that model, or use another collection",
        )


def _load(db: sqlite3.Connection, collection: str, encoder: Encoder) -> list[tuple[int, bytes]]:
    _check_model(db, collection, encoder)
    return [tuple(row) for row in db.execute("SELECT row, vector FROM vectors WHERE collection = ?", (collection,))]


def _delete(db: sqlite3.Connection, collection: str, ids: Sequence[str]) -> list[int]:
    sql = "DELETE FROM vectors WHERE collection = ? AND id = ? RETURNING row"
    return [row[0] for one in ids for row in db.execute(sql, (collection, one)).fetchall()]


def _matching(db: sqlite3.Connection, collection: str, wanted: Metadata) -> list[int]:
    """Return the rows whose metadata has every wanted value; keys are compared whole, whatever is in them."""
    clauses: list[str] = []
    parameters: list[Value] = [collection]
    for key, value in wanted.items():
        types, test = _test(value)
        clauses.append(f" AND EXISTS (SELECT 1 FROM json_each(metadata) WHERE key = ? AND type IN ({types}){test})")
        parameters += [key, value] if test else [key]
    sql = f"SELECT row FROM vectors WHERE collection = ?{''.join(clauses)}"
    return [row[0] for row in db.execute(sql, parameters)]


def _test(value: Value, /) -> tuple[str, str]:
    """Return the JSON types a value may have, and the test of the value where the type does not say it all.

    To SQL alone true is 1, and what is absent is null.
    """
    match value:
        case None:
            return "'null'", ""
        case bool():
            return f"'{'true' if value else 'false'}'", ""
        case str():
            return "'text'", " AND value = ?"
    return "'integer', 'real'", " AND value = ?"


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


def _check_metadata(metadata: Metadata, name: str) -> None:
    """Raise INVALID_REQUEST for what SQLite cannot compare: it cuts texts at NUL, and its integers have 64 bits."""
    for key, value in metadata.items():
        if "\0" in key or (isinstance(value, str) and "\0" in value):
            raise OcgError(Code.INVALID_REQUEST, f"{name}: {key!r} has a NUL in it", "take it out", param=name)
        if isinstance(value, int) and not -_MAX_INTEGER <= value < _MAX_INTEGER:
            raise OcgError(
                Code.INVALID_REQUEST, f"{name}: {key!r} needs more than 64 bits", "send it as a text", param=name
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
