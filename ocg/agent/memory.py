"""What the agent remembers: found by word (FTS5) and by meaning (ocg-embedding), fused by reciprocal rank.

A memory is on disk with a note in an outbox before it is acknowledged; the outbox is emptied into ocg-embedding, now
or whenever it is back, so that the two agree after any crash.
"""

import asyncio
import logging
import re
import sqlite3
import time
import uuid
from collections.abc import Iterable, Sequence
from contextlib import suppress

from ocg.database import Database
from ocg.errors import Code, OcgError
from ocg.protocol.clients import EmbeddingClient
from ocg.protocol.messages import Memory, MemoryRequest, VectorItem

_log = logging.getLogger(__name__)

_COLLECTION = "memories"
_CANDIDATES = 30
_RRF_K = 60  # Cormack, Clarke, Büttcher 2009: reciprocal rank fusion
_SEARCH_TIMEOUT_S = 3.0
_BATCH = 50
_RETRY_S = (1.0, 2.0, 5.0, 10.0, 30.0)
# Chinese, Japanese and Korean run words together: each character is a word of its own.
_WORD = re.compile(
    r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff]|[^\W_\u3040-\u9fff\uac00-\ud7af]+"
)
_MAX_QUERY_WORDS = 32


def words(text: str) -> list[str]:
    """Split a text into the words it is found by."""
    return [word.lower() for word in _WORD.findall(text)]


class Memories:
    """The memories, and the task that keeps ocg-embedding's copy in step."""

    def __init__(self, database: Database, embedding: EmbeddingClient) -> None:
        self._database = database
        self._embedding = embedding
        self._news = asyncio.Event()
        self._news.set()

    async def store(self, request: MemoryRequest) -> Memory:
        """Keep a memory; the same text again is the same memory."""

        def job(db: sqlite3.Connection) -> Memory:
            known = db.execute("SELECT * FROM memories WHERE text = ?", (request.text,)).fetchone()
            if known is not None:
                return _memory(known)
            sql = "INSERT INTO memories (id, text, kind, created_at) VALUES (?, ?, ?, ?) RETURNING *"
            row = db.execute(sql, (uuid.uuid4().hex, request.text, request.kind, time.time())).fetchone()
            db.execute(
                "INSERT INTO memory_words (rowid, words) VALUES (?, ?)", (row["seq"], " ".join(words(request.text)))
            )
            db.execute("INSERT INTO memory_outbox (id) VALUES (?)", (row["id"],))
            return _memory(row)

        memory = await self._database.write(job)
        self._news.set()
        return memory

    async def forget(self, memory_id: str) -> None:
        """Delete a memory for good. Raises NOT_FOUND."""

        def job(db: sqlite3.Connection) -> None:
            row = db.execute("DELETE FROM memories WHERE id = ? RETURNING seq", (memory_id,)).fetchone()
            if row is None:
                raise OcgError(Code.NOT_FOUND, f"no memory {memory_id!r}", "list them with GET /v1/memories")
            db.execute("DELETE FROM memory_words WHERE rowid = ?", (row["seq"],))
            db.execute("INSERT INTO memory_outbox (id) VALUES (?)", (memory_id,))

        await self._database.write(job)
        self._news.set()

    async def newest(self, limit: int) -> tuple[Memory, ...]:
        """List memories, newest first."""
        sql = "SELECT * FROM memories ORDER BY seq DESC LIMIT ?"
        return await self._database.read(lambda db: tuple(_memory(row) for row in db.execute(sql, (limit,))))

    async def search(self, query: str, limit: int) -> tuple[Memory, ...]:
        """Find memories, best first. While ocg-embedding is away, they are found by word alone.

        A memory's score is its cosine to the query; where that is not known, the share of the query's words it has.
        """
        by_word = await self._database.read(lambda db: _by_word(db, words(query)[:_MAX_QUERY_WORDS]))
        by_meaning = await self._by_meaning(query)
        order = fuse([list(by_meaning), list(by_word)])[:limit]
        scores = by_word | by_meaning
        found = await self._database.read(lambda db: _fetch(db, order))
        return tuple(_memory(found[one], scores[one]) for one in order if one in found)

    async def pending(self) -> int:
        """How many changes ocg-embedding has not been told yet."""
        return await self._database.read(lambda db: int(db.execute("SELECT count(*) FROM memory_outbox").fetchone()[0]))

    async def _by_meaning(self, query: str) -> dict[str, float]:
        try:
            async with asyncio.timeout(_SEARCH_TIMEOUT_S):
                hits = await self._embedding.search(query, top_k=_CANDIDATES, collection=_COLLECTION)
        except (OcgError, TimeoutError) as error:
            _log.info("recall by words only: %s", str(error) or "ocg-embedding is slow")
            return {}
        return {hit.id: hit.score for hit in hits}

    async def keep_in_step(self) -> None:
        """Empty the outbox whenever there is something in it, for ever; a failure waits and tries again."""
        failures = 0
        while True:
            await self._news.wait()
            self._news.clear()
            try:
                while await self._deliver():
                    failures = 0
            except OcgError as error:
                delay_s = _RETRY_S[min(failures, len(_RETRY_S) - 1)]
                failures += 1
                _log.info("memories wait for ocg-embedding, next try in %g s: %s", delay_s, error)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._news.wait(), delay_s)
                self._news.set()

    async def _deliver(self) -> bool:
        """Tell ocg-embedding of some changes; return whether there were any."""
        noted, texts = await self._database.read(_outbox)
        if not noted:
            return False
        gone = sorted({memory_id for _, memory_id in noted} - texts.keys())
        if texts:
            items = [VectorItem(id=memory_id, text=text) for memory_id, text in texts.items()]
            await self._embedding.upsert(items, collection=_COLLECTION)
        if gone:
            await self._embedding.delete(gone, collection=_COLLECTION)
        last = noted[-1][0]
        await self._database.write(lambda db: db.execute("DELETE FROM memory_outbox WHERE seq <= ?", (last,)).rowcount)
        return True


def fuse(rankings: Iterable[Sequence[str]]) -> list[str]:
    """Fuse rankings by reciprocal rank: an entry's score is the sum of 1 / (60 + rank) over the rankings it is in."""
    scores: dict[str, float] = {}
    for ranking in rankings:
        for rank, entry in enumerate(ranking, 1):
            scores[entry] = scores.get(entry, 0.0) + 1.0 / (_RRF_K + rank)
    return sorted(scores, key=lambda entry: -scores[entry])


def _by_word(db: sqlite3.Connection, wanted: list[str]) -> dict[str, float]:
    """Return ids with the share of the query's words each has, by FTS5's bm25, best first."""
    if not wanted:
        return {}
    query = " OR ".join(f'"{word}"' for word in dict.fromkeys(wanted))
    sql = """
        SELECT memories.id, memory_words.words FROM memory_words JOIN memories ON memories.seq = memory_words.rowid
        WHERE memory_words MATCH ? ORDER BY memory_words.rank LIMIT ?
    """
    asked = set(wanted)
    return {
        row["id"]: len(asked & set(row["words"].split())) / len(asked) for row in db.execute(sql, (query, _CANDIDATES))
    }


def _outbox(db: sqlite3.Connection) -> tuple[list[tuple[int, str]], dict[str, str]]:
    """Return the oldest notes, and the texts of those memories that still exist."""
    noted = [tuple(row) for row in db.execute("SELECT seq, id FROM memory_outbox ORDER BY seq LIMIT ?", (_BATCH,))]
    found = _fetch(db, list({memory_id for _, memory_id in noted}))
    return noted, {memory_id: row["text"] for memory_id, row in found.items()}


def _fetch(db: sqlite3.Connection, ids: Sequence[str]) -> dict[str, sqlite3.Row]:
    marks = ",".join("?" * len(ids))
    return {row["id"]: row for row in db.execute(f"SELECT * FROM memories WHERE id IN ({marks})", tuple(ids))}


def _memory(row: sqlite3.Row, score: float | None = None) -> Memory:
    return Memory(id=row["id"], text=row["text"], kind=row["kind"], created_at=row["created_at"], score=score)
