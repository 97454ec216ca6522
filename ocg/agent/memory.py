"""What the agent remembers: found by word (FTS5) and by meaning (ocg-embedding), fused by reciprocal rank.

A memory is on disk, with a note in the outbox, before it is acknowledged.
"""

import asyncio
import logging
import sqlite3
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ocg.agent.imports import load_aiohttp
from ocg.agent.outbox import COLLECTION, Outbox
from ocg.agent.words import share, terms, words
from ocg.database import Database
from ocg.errors import Code, OcgError
from ocg.protocol.clients import EmbeddingClient
from ocg.protocol.messages import Memory, MemoryRequest

_log = logging.getLogger(__name__)

_CANDIDATES = 30
_RRF_K = 60  # Cormack, Clarke, Büttcher 2009: reciprocal rank fusion
_SEARCH_TIMEOUT_S = 3.0
_QUERY_CHARS = 400  # what any embedding model takes, even at a token a character
_GOOD_SHARE = 0.5  # of a query's terms: a match by word alone


@dataclass(frozen=True, slots=True)
class Found:
    """A memory's cosine to the query, if known, and the share of the query's terms it has."""

    memory: Memory
    cosine: float | None
    share: float

    def is_near(self, min_score: float) -> bool:
        """Whether it belongs to the query, by meaning or by word."""
        return (self.cosine or 0.0) >= min_score or self.share >= _GOOD_SHARE


class Memories:
    """The memories."""

    def __init__(self, database: Database, embedding: EmbeddingClient, outbox: Outbox) -> None:
        self._database = database
        self._embedding = embedding
        self._outbox = outbox

    async def store(self, request: MemoryRequest) -> Memory:
        """Keep a memory; the same text again is the same memory."""
        memory = await self._database.write(lambda db: _store(db, request))
        self._outbox.wake()
        return memory

    async def forget(self, memory_id: str) -> None:
        """Delete a memory for good. Raises NOT_FOUND."""
        await self._database.write(lambda db: _forget(db, memory_id))
        self._outbox.wake()

    async def newest(self, limit: int) -> tuple[Memory, ...]:
        """List memories, newest first."""
        sql = "SELECT * FROM memories ORDER BY seq DESC LIMIT ?"
        return await self._database.read(lambda db: tuple(_memory(row) for row in db.execute(sql, (limit,))))

    async def search(self, query: str, limit: int) -> tuple[Memory, ...]:
        """Find memories, best first. While ocg-embedding is away, they are found by word alone.

        A memory's score is its cosine to the query; where that is not known, the share of the query's terms it has.
        """
        return tuple(found.memory for found in (await self._find(query, max(limit, _CANDIDATES)))[:limit])

    async def recall(self, message: str, limit: int, *, min_score: float) -> tuple[Memory, ...]:
        """Find what belongs to a message, and nothing else."""
        near = [found.memory for found in await self._find(message, _CANDIDATES) if found.is_near(min_score)]
        return tuple(near[:limit])

    async def _find(self, query: str, limit: int) -> list[Found]:
        if not await self._database.read(_has_any):
            return []
        by_word = await self._database.read(lambda db: _by_word(db, terms(query), limit))
        by_meaning = await self._by_meaning(query[:_QUERY_CHARS], limit) if query.strip() else {}
        order = fuse([list(by_meaning), list(by_word)])
        kept = await self._database.read(lambda db: _fetch(db, order))
        return [
            Found(_memory(kept[one], by_meaning.get(one, by_word.get(one))), by_meaning.get(one), by_word.get(one, 0.0))
            for one in order
            if one in kept
        ]

    async def _by_meaning(self, query: str, limit: int) -> dict[str, float]:
        """Return ids with their cosines, best first; nothing when ocg-embedding cannot be asked."""
        try:
            async with asyncio.timeout(_SEARCH_TIMEOUT_S):
                await self._outbox.deliver_some()  # so that what was stored a moment ago is found by its meaning too
                await load_aiohttp()
                hits = await self._embedding.search(query, top_k=limit, collection=COLLECTION)
        except (OcgError, TimeoutError) as error:
            _log.info("recall by words only: %s", str(error) or "ocg-embedding is slow")
            return {}
        return {hit.id: min(max(hit.score, 0.0), 1.0) for hit in hits}


def fuse(rankings: Iterable[Sequence[str]]) -> list[str]:
    """Fuse rankings by reciprocal rank: an entry's score is the sum of 1 / (60 + rank) over the rankings it is in."""
    scores: dict[str, float] = {}
    for ranking in rankings:
        for rank, entry in enumerate(ranking, 1):
            scores[entry] = scores.get(entry, 0.0) + 1.0 / (_RRF_K + rank)
    return sorted(scores, key=lambda entry: -scores[entry])


def _store(db: sqlite3.Connection, request: MemoryRequest) -> Memory:
    known = db.execute("SELECT * FROM memories WHERE text = ?", (request.text,)).fetchone()
    if known is not None:
        return _memory(known)
    sql = "INSERT INTO memories (id, text, kind, created_at) VALUES (?, ?, ?, ?) RETURNING *"
    row = db.execute(sql, (uuid.uuid4().hex, request.text, request.kind, time.time())).fetchone()
    db.execute("INSERT INTO memory_words (rowid, words) VALUES (?, ?)", (row["seq"], " ".join(words(request.text))))
    db.execute("INSERT INTO memory_outbox (id) VALUES (?)", (row["id"],))
    return _memory(row)


def _forget(db: sqlite3.Connection, memory_id: str) -> None:
    row = db.execute("DELETE FROM memories WHERE id = ? RETURNING seq", (memory_id,)).fetchone()
    if row is None:
        raise OcgError(Code.NOT_FOUND, f"no memory {memory_id!r}", "list them with GET /v1/memories")
    db.execute("DELETE FROM memory_words WHERE rowid = ?", (row["seq"],))
    db.execute("INSERT INTO memory_outbox (id) VALUES (?)", (memory_id,))


def _has_any(db: sqlite3.Connection) -> bool:
    return db.execute("SELECT 1 FROM memories LIMIT 1").fetchone() is not None


def _by_word(db: sqlite3.Connection, wanted: list[str], limit: int) -> dict[str, float]:
    """Return ids with the share of the terms each has, by FTS5's bm25, best first."""
    if not wanted:
        return {}
    query = " OR ".join(f'"{term}"' for term in wanted)
    sql = """
        SELECT memories.id, memory_words.words FROM memory_words JOIN memories ON memories.seq = memory_words.rowid
        WHERE memory_words MATCH ? ORDER BY memory_words.rank LIMIT ?
    """
    return {row["id"]: share(wanted, row["words"]) for row in db.execute(sql, (query, limit))}


def _fetch(db: sqlite3.Connection, ids: Sequence[str]) -> dict[str, sqlite3.Row]:
    marks = ",".join("?" * len(ids))
    return {row["id"]: row for row in db.execute(f"SELECT * FROM memories WHERE id IN ({marks})", tuple(ids))}


def _memory(row: sqlite3.Row, score: float | None = None) -> Memory:
    return Memory(id=row["id"], text=row["text"], kind=row["kind"], created_at=row["created_at"], score=score)
