"""Keeps ocg-embedding's vectors in step with the memories: what it was not told yet waits in agent.db.

A note is only an id: what becomes of it, put or delete, follows from whether the memory is there when it is told.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from ocg.agent.imports import load_aiohttp
from ocg.database import Database
from ocg.errors import Code, OcgError
from ocg.protocol.clients import EmbeddingClient
from ocg.protocol.vectors import VectorItem

if TYPE_CHECKING:
    from ocg.protocol.address import Address

_log = logging.getLogger(__name__)

COLLECTION = "memories"
_BATCH = 50
_COMPARED = 1000
_RECENT_S = 1.0
_RETRY_S = (0.5, 1.0, 2.0, 5.0, 10.0)
_MIN_CHARS = 16
# What asking again cannot mend.
_LASTING = frozenset({Code.INVALID_REQUEST, Code.CONTEXT_LENGTH, Code.TOO_LARGE})


class Outbox:
    """The notes, and the task that empties them."""

    def __init__(self, database: Database, embedding: EmbeddingClient) -> None:
        self._database = database
        self._embedding = embedding
        self._delivering = asyncio.Lock()
        self._news = asyncio.Event()
        self._news.set()
        self._agreed_with: Address | None = None
        self._refilled = asyncio.Event()
        self._refilled.set()

    def wake(self) -> None:
        """There is something new, or ocg-embedding is back."""
        self._news.set()

    def look(self) -> None:
        """Notice that ocg-embedding was started anew: it may have lost its vectors, or have another model now."""
        with suppress(OcgError):
            if self._agreed_with != self._embedding.where():
                self.wake()

    def doubt(self, error: OcgError) -> None:
        """ocg-embedding has refused; when it was for its model's sake, the vectors are to be made anew."""
        if error.code is Code.CONFLICT:
            self._agreed_with = None
            self.wake()

    async def pending(self) -> int:
        """How many changes ocg-embedding has not been told yet."""
        sql = "SELECT count(*) FROM memory_outbox"
        return await self._database.read(lambda db: int(db.execute(sql).fetchone()[0]))

    async def empty_for_ever(self) -> None:
        """Empty the outbox whenever there is something in it; a failure waits, ever longer, and tries again."""
        failures = 0
        while True:
            await self._news.wait()
            self._news.clear()
            try:
                await self._agree()
                while await self.deliver_some():
                    failures = 0
            except Exception as error:  # noqa: BLE001 - the task must outlive whatever comes
                delay_s = _RETRY_S[min(failures, len(_RETRY_S) - 1)]
                failures += 1
                level = logging.INFO if failures <= len(_RETRY_S) else logging.DEBUG  # it is known by then
                level = level if isinstance(error, OcgError) else logging.ERROR
                if isinstance(error, OcgError):
                    self.doubt(error)
                _log.log(level, "memories wait for ocg-embedding, next try in %g s: %s", delay_s, error)
                # wait_for of Python 3.11 can swallow the cancellation that a stop begins with.
                with suppress(TimeoutError):
                    async with asyncio.timeout(delay_s):
                        await self._news.wait()
                self._news.set()

    async def _agree(self) -> None:
        """Once for each start of ocg-embedding: see that its vectors are those of our memories; note what is not there.

        A restart of either, anywhere in between, begins again and finds the same.
        """
        if not await self._database.read(_has_any):
            return
        where = self._embedding.where()
        if where == self._agreed_with:
            return
        await load_aiohttp()
        self._refilled.clear()
        try:
            if await self._is_lost():
                noted = await self._database.write(_note_all)
                _log.info("the vectors of %d memories are made anew", noted)
            while await self.deliver_some():
                pass
            await self._compare()
        finally:
            self._refilled.set()
        self._agreed_with = where

    async def _is_lost(self) -> bool:
        """Whether there are no vectors, or those of another model, which are then dropped."""
        if await self._embedding.collection(COLLECTION) is None:
            return True
        try:
            await self._embedding.search("any", top_k=1, collection=COLLECTION)
        except OcgError as error:
            if error.code is not Code.CONFLICT:
                raise
            _log.info("ocg-embedding has another model: %s", error.message)
            await self._embedding.drop(COLLECTION)
            return True
        return False

    async def _compare(self) -> None:
        """Note the memories without a vector; where there are vectors without a memory, make all anew."""
        info = await self._embedding.collection(COLLECTION)
        ids = await self._database.read(_kept)
        if info is None or info.count == len(ids):
            return
        there: set[str] = set()
        for at in range(0, len(ids), _COMPARED):
            there |= {one.id for one in await self._embedding.get(ids[at : at + _COMPARED], collection=COLLECTION)}
        if info.count > len(there):
            await self._embedding.drop(COLLECTION)
            there = set()
        missing = [one for one in ids if one not in there]
        _log.info("%d memories have no vector, %d vectors no memory", len(missing), info.count - len(there))
        await self._database.write(lambda db: _note(db, missing))

    async def deliver_recent(self) -> None:
        """Deliver what is new before a search, if that is little: a search does not wait for an import's vectors."""
        if await self.pending() > _BATCH:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(_RECENT_S):
                await self._refilled.wait()
                await self._delivering.acquire()
            try:
                await self._deliver()
            finally:
                self._delivering.release()

    async def deliver_some(self) -> bool:
        """Tell ocg-embedding of the oldest changes; return whether there were any."""
        async with self._delivering:
            return await self._deliver()

    async def _deliver(self) -> bool:
        noted, texts = await self._database.read(_noted)
        if not noted:
            return False
        await load_aiohttp()
        if texts:
            await self._put(texts)
        gone = sorted({memory_id for _, memory_id in noted} - texts.keys())
        if gone:
            await self._embedding.delete(gone, collection=COLLECTION)
        last = noted[-1][0]
        await self._database.write(lambda db: db.execute("DELETE FROM memory_outbox WHERE seq <= ?", (last,)).rowcount)
        return True

    async def _put(self, texts: dict[str, str]) -> None:
        """Send texts to be embedded; when one of them is refused for good, each by itself."""
        items = [VectorItem(id=memory_id, text=text) for memory_id, text in texts.items()]
        try:
            await self._embedding.upsert(items, collection=COLLECTION)
        except OcgError as error:
            if error.code not in _LASTING:
                raise
            for memory_id, text in texts.items():
                await self._put_alone(memory_id, text)

    async def _put_alone(self, memory_id: str, text: str) -> None:
        """Send one text, shorter and shorter while it is too long for the model; its beginning tells enough of it."""
        try:
            await self._embedding.upsert([VectorItem(id=memory_id, text=text)], collection=COLLECTION)
        except OcgError as error:
            if error.code is Code.CONTEXT_LENGTH and len(text) > _MIN_CHARS:
                await self._put_alone(memory_id, text[: len(text) // 2])
            elif error.code in _LASTING:
                _log.warning("memory %s is found by words only: %s", memory_id, error)
            else:
                raise


def _noted(db: sqlite3.Connection) -> tuple[list[tuple[int, str]], dict[str, str]]:
    """Return the oldest notes, and the texts of those memories that still exist."""
    noted = [tuple(row) for row in db.execute("SELECT seq, id FROM memory_outbox ORDER BY seq LIMIT ?", (_BATCH,))]
    ids = {memory_id for _, memory_id in noted}
    marks = ",".join("?" * len(ids))
    found = db.execute(f"SELECT id, text FROM memories WHERE state = 'kept' AND id IN ({marks})", tuple(ids))
    return noted, {row["id"]: row["text"] for row in found}


def _has_any(db: sqlite3.Connection) -> bool:
    return db.execute("SELECT 1 FROM memories LIMIT 1").fetchone() is not None


def _kept(db: sqlite3.Connection) -> list[str]:
    return [row["id"] for row in db.execute("SELECT id FROM memories WHERE state = 'kept' ORDER BY seq")]


def _note_all(db: sqlite3.Connection) -> int:
    return db.execute(
        "INSERT INTO memory_outbox (id) SELECT id FROM memories WHERE state = 'kept' ORDER BY seq"
    ).rowcount


def _note(db: sqlite3.Connection, ids: Sequence[str]) -> None:
    db.executemany("INSERT INTO memory_outbox (id) VALUES (?)", ((one,) for one in ids))
