"""Embedding a collection's texts anew with the model that is loaded now; how far it is stands in vectors.db.

From its first moment the collection is the new model's: rows up to `since` are the old one's and are searched no more,
what is embedded anew or put meanwhile has higher rows. So a stop costs nothing but the batch at hand.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

from ocg.embedding.vectors import prepare, truth
from ocg.embedding.vectors.model import Change, Collection, Embedder, Prepared
from ocg.errors import Code, OcgError

_log = logging.getLogger(__name__)
_BATCH = 64
_TOLD_S = 10.0
# What is wrong with one text, and not with all of them.
_ITS_OWN = frozenset({Code.INVALID_REQUEST, Code.CONTEXT_LENGTH})


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows to embed, and the last row that is done with them."""

    rows: list[int]
    items: list[Prepared]
    last: int


# Writes a batch, or the end (None), and returns the collection as it is then; None when it is no more.
Commit = Callable[[Collection, Batch | None], Awaitable[Collection | None]]
Read = Callable[[Callable[[sqlite3.Connection], Batch | None]], Awaitable[Batch | None]]


class Reindexing:
    """The tasks, one for each collection at the most."""

    def __init__(self, encoder: Embedder, read: Read, commit: Commit, retry_s: float) -> None:
        self._encoder = encoder
        self._read = read
        self._commit = commit
        self._retry_s = retry_s
        self._tasks: dict[int, asyncio.Task[None]] = {}

    def start(self, collection: Collection) -> None:
        """Go on where it stopped, unless it is at work."""
        task = self._tasks.get(collection.number)
        if task is None or task.done():
            self._tasks[collection.number] = asyncio.create_task(self._run(collection))

    async def cancel(self, number: int) -> None:
        """End one."""
        task = self._tasks.pop(number, None)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def close(self) -> None:
        """End all; the next start takes them up."""
        for number in list(self._tasks):
            await self.cancel(number)

    async def _run(self, collection: Collection) -> None:
        current: Collection | None = collection
        told_s = asyncio.get_running_loop().time()
        _log.info("%r: embedding %d texts anew with %s", collection.name, collection.total, collection.model)
        while current is not None and current.reindexing:
            at = current
            try:
                batch = await self._read(partial(next_batch, at))
                current = await self._commit(at, batch and await self._embedded(batch))
            except OcgError as error:  # a full disk, a busy encoder
                _log.warning("%r: reindexing waits %g s: %s", at.name, self._retry_s, error)
                await asyncio.sleep(self._retry_s)
                continue
            if current is not None and asyncio.get_running_loop().time() - told_s > _TOLD_S:
                told_s = asyncio.get_running_loop().time()
                _log.info("%r: reindexing has come to row %d of %d", current.name, current.cursor, current.since)

    async def _embedded(self, batch: Batch) -> Batch:
        try:
            return replace(batch, items=await prepare.embed(batch.items, self._encoder))
        except OcgError as error:
            if error.code not in _ITS_OWN:
                raise
        rows, items = [], []
        for row, item in zip(batch.rows, batch.items, strict=True):
            with suppress(OcgError):
                items += await self._alone(item)
                rows.append(row)
        return Batch(rows, items, batch.last)

    async def _alone(self, item: Prepared) -> list[Prepared]:
        try:
            return await prepare.embed([item], self._encoder)
        except OcgError as error:
            if error.code in _ITS_OWN:
                _log.warning("%r keeps the vector of the old model and is not found: %s", item.id, error)
            raise


def begin(db: sqlite3.Connection, collection: Collection, encoder: Embedder) -> Collection:
    """Make a collection the loaded model's; return it as it is when there is nothing to embed anew."""
    every, _ = truth.stale(db, collection)
    if (collection.model, collection.dim) != (encoder.name, encoder.dim):
        (since,) = db.execute("SELECT max(row) FROM vectors WHERE collection = ?", (collection.number,)).fetchone()
        (every,) = db.execute("SELECT count(*) FROM vectors WHERE collection = ?", (collection.number,)).fetchone()
        collection = replace(collection, model=encoder.name, dim=encoder.dim, since=since or 0)
    elif collection.reindexing or not every:
        return collection
    made = replace(collection, reindexing=True, cursor=0, total=every)
    db.execute(
        "UPDATE collections SET model = ?, dim = ?, since = ?, reindexing = 1, cursor = 0, total = ? WHERE number = ?",
        (made.model, made.dim, made.since, made.total, made.number),
    )
    return made


def next_batch(collection: Collection, db: sqlite3.Connection) -> Batch | None:
    """Return the next texts to embed; None when there are no more."""
    sql = (
        "SELECT row, id, text, metadata FROM vectors"
        " WHERE collection = ? AND row > ? AND row <= ? AND text IS NOT NULL ORDER BY row LIMIT ?"
    )
    found = db.execute(sql, (collection.number, collection.cursor, collection.since, _BATCH)).fetchall()
    items = [prepare.again(row["id"], row["text"], row["metadata"]) for row in found]
    return Batch([row["row"] for row in found], items, found[-1]["row"]) if found else None


def write(db: sqlite3.Connection, collection: Collection, batch: Batch | None) -> tuple[Collection, Change] | None:
    """Put a batch in the place of its rows, or note the end; None when the collection is another by now."""
    current = truth.find(db, collection.name)
    if current is None or current.shape != collection.shape or not current.reindexing:
        return None
    if batch is None:
        every, silent = truth.stale(db, collection)
        db.execute("UPDATE collections SET reindexing = 0 WHERE number = ?", (collection.number,))
        level = logging.WARNING if every else logging.INFO
        text = "%r: reindexed; %d vectors are another model's still and not found, %d of them have no text"
        _log.log(level, text, collection.name, every, silent)
        return replace(current, reindexing=False), Change([], [])
    change = truth.replace(db, collection, list(zip(batch.rows, batch.items, strict=True)))
    db.execute("UPDATE collections SET cursor = ? WHERE number = ?", (batch.last, collection.number))
    return replace(current, cursor=batch.last), change
