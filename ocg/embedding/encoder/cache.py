"""Vectors of texts that were embedded before: the latest in memory, more of them in a file of bounded size.

A text is known by a keyed hash of its bytes, the key being the model, and never stored itself. Nothing here is the
truth: what is lost or damaged is computed anew.
"""

import asyncio
import logging
import sqlite3
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Self

from ocg.database import Database
from ocg.embedding.encoder.texts import Embedded
from ocg.errors import Code, OcgError
from ocg.lifecycle.worker import Worker

_log = logging.getLogger(__name__)

_MIGRATIONS = (
    "CREATE TABLE embeddings (number INTEGER PRIMARY KEY, key BLOB UNIQUE, tokens INTEGER, vector BLOB) STRICT",
)
_IN_MEMORY = 2048  # texts, 3 MB with 384 dimensions
_ROW_BYTES = 64  # of a row beside its vector, with its share of the index
_FLUSH_S = 0.5
_FLUSH_TEXTS = 512
_VARIABLES = 500
_HEAD_BYTES = 1 << 20
_KEPT = 0.9  # of the rows, when the oldest must go


def fingerprint(path: Path) -> bytes:
    """Return what tells a model's file from others, without reading all of what may be many GB."""
    with path.open("rb") as stream:
        head = stream.read(_HEAD_BYTES)
    stat = path.stat()
    return blake2b(head + f"{stat.st_size} {stat.st_mtime_ns}".encode(), digest_size=32).digest()


class Cache:
    """The cache of one model; without a database it keeps nothing."""

    def __init__(self, model: bytes, database: Database | None = None, *, max_rows: int = 0) -> None:
        self._model = model
        self._database = database
        self._max_rows = max_rows
        self._latest: OrderedDict[bytes, Embedded] = OrderedDict()
        self._unwritten: dict[bytes, Embedded] = {}
        self._written: set[bytes] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._flushing: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, path: Path, *, model: bytes, size_bytes: int, dim: int) -> Self:
        """Open or make the file; a damaged one is thrown away. With no size there is no cache."""
        if not size_bytes:
            return cls(model)
        try:
            database = await Database.open(path, _MIGRATIONS, durable=False)
        except OcgError as error:
            if error.code not in {Code.DATA_DAMAGED, Code.DATA_NEWER}:
                raise
            _log.warning("the cache of embeddings begins anew: %s", error.message)
            for end in ("", "-wal", "-shm"):
                path.with_name(path.name + end).unlink(missing_ok=True)
            database = await Database.open(path, _MIGRATIONS, durable=False)
        made = cls(model, database, max_rows=max(1, size_bytes // (dim * 4 + _ROW_BYTES)))
        made._written = await database.read(_keys)
        return made

    @property
    def workers(self) -> tuple[Worker, ...]:
        """The thread it works in, where it has one."""
        return (self._database.worker,) if self._database else ()

    async def find(self, texts: Collection[bytes]) -> dict[bytes, Embedded]:
        """Return what is known of these texts."""
        if self._database is None:
            return {}
        found: dict[bytes, Embedded] = {}
        on_disk: dict[bytes, bytes] = {}
        for data in texts:
            key = self._key(data)
            if known := self._latest.get(key) or self._unwritten.get(key):
                self._remember(key, known)
                found[data] = known
            elif key in self._written:
                on_disk[key] = data
        if on_disk:
            for key, known in (await self._read(self._database, list(on_disk))).items():
                self._remember(key, known)
                found[on_disk[key]] = known
        return found

    def keep(self, data: bytes, found: Embedded) -> None:
        """Take a text's vector in; it is written with others, a little later."""
        if self._database is None:
            return
        key = self._key(data)
        self._remember(key, found)
        if key in self._written or len(self._unwritten) > 2 * _FLUSH_TEXTS:  # the disk does not keep up
            return
        self._unwritten[key] = found
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_FLUSH_S, self._begin_flush)
        elif len(self._unwritten) == _FLUSH_TEXTS:
            self._begin_flush()

    async def close(self) -> None:
        """Write what is not written, and close."""
        if self._database is None:
            return
        if self._flushing is not None:
            await self._flushing
        await self._flush(self._database)
        await self._database.close()

    def _key(self, data: bytes) -> bytes:
        return blake2b(data, digest_size=16, key=self._model).digest()

    def _remember(self, key: bytes, found: Embedded) -> None:
        self._latest[key] = found
        self._latest.move_to_end(key)
        if len(self._latest) > _IN_MEMORY:
            self._latest.popitem(last=False)

    def _begin_flush(self) -> None:
        if self._database is not None and (self._flushing is None or self._flushing.done()):
            self._flushing = asyncio.get_running_loop().create_task(self._flush(self._database))

    async def _flush(self, database: Database) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        writing, self._unwritten = self._unwritten, {}
        try:
            dropped = await database.write(lambda db: _write(db, writing, self._max_rows))
        except OcgError as error:  # a full disk costs time, and nothing else
            _log.warning("%d embeddings are not cached: %s", len(writing), error)
            return
        self._written.update(writing)
        self._written.difference_update(dropped)

    async def _read(self, database: Database, keys: Sequence[bytes]) -> dict[bytes, Embedded]:
        try:
            return await database.read(lambda db: _read(db, keys))
        except OcgError as error:
            _log.warning("the cache of embeddings cannot be read: %s", error)
            self._written.clear()
            return {}


def _keys(db: sqlite3.Connection) -> set[bytes]:
    return {key for (key,) in db.execute("SELECT key FROM embeddings")}


def _read(db: sqlite3.Connection, keys: Sequence[bytes]) -> dict[bytes, Embedded]:
    import numpy as np  # noqa: PLC0415 - llama_cpp has it imported

    found: dict[bytes, Embedded] = {}
    for at in range(0, len(keys), _VARIABLES):
        part = keys[at : at + _VARIABLES]
        marks = ",".join("?" * len(part))
        rows = db.execute(f"SELECT key, vector, tokens FROM embeddings WHERE key IN ({marks})", part)
        found |= {key: Embedded(np.frombuffer(vector, np.float32), tokens) for key, vector, tokens in rows}
    return found


def _write(db: sqlite3.Connection, new: Mapping[bytes, Embedded], max_rows: int) -> list[bytes]:
    """Add rows; return the keys of the oldest, which made room for them."""
    rows = [(key, one.tokens, one.vector.tobytes()) for key, one in new.items()]
    db.executemany("INSERT OR IGNORE INTO embeddings (key, tokens, vector) VALUES (?, ?, ?)", rows)
    (count,) = db.execute("SELECT count(*) FROM embeddings").fetchone()
    if count <= max_rows:
        return []
    sql = "DELETE FROM embeddings WHERE number IN (SELECT number FROM embeddings ORDER BY number LIMIT ?) RETURNING key"
    return [key for (key,) in db.execute(sql, (count - int(max_rows * _KEPT),)).fetchall()]
