"""What the agent remembers: found by word (FTS5) and by meaning (ocg-embedding), fused by reciprocal rank.

A memory is on disk, with a note in the outbox, before it is acknowledged.
"""

import asyncio
import itertools
import sqlite3
import time
from collections.abc import Sequence
from contextlib import suppress

from ocg.agent.memory import records
from ocg.agent.memory.lookup import Meaning, by_word
from ocg.agent.memory.ranking import Weights, best, without_repeats, wording
from ocg.agent.memory.records import Draft, memory_of
from ocg.agent.outbox import Outbox
from ocg.agent.words import terms
from ocg.database import Database
from ocg.errors import Code, OcgError
from ocg.protocol.clients import EmbeddingClient
from ocg.protocol.messages import Memory, MemoryImported, MemoryPage, MemoryRecord, MemoryRequest

_SEARCH_TIMEOUT_S = 3.0
_SAME_CANDIDATES = 20
_READ_CHARS = 4096  # a longer message tells by its beginning what it is about
_PAGE = 500
_REINDEXED = 200
_MAX_PROPOSED = 200
_MAX_USED = 1000
_USED_PAUSE_S = 1.0


class Memories:
    """The memories."""

    def __init__(
        self, database: Database, embedding: EmbeddingClient, outbox: Outbox, weights: Weights | None = None
    ) -> None:
        self._database = database
        self._outbox = outbox
        self._meaning = Meaning(embedding, outbox)
        self._weights = weights or Weights()
        self._used: dict[str, float] = {}
        self._was_used = asyncio.Event()

    async def store(self, request: MemoryRequest) -> Memory:
        """Keep a memory; the same again, in the same words, is the same memory (see `ranking.wording`)."""
        draft = Draft(
            text=request.text,
            kind=request.kind,
            source=request.source,
            tags=request.tags,
            importance=request.importance,
        )
        return await self.keep(draft)

    async def keep(self, draft: Draft) -> Memory:
        """Keep or propose one memory, as `store` does."""
        memory = await self._database.write(lambda db: _keep(db, draft))
        self._outbox.wake()
        return memory

    async def may_capture(self, session_id: str, turn_id: str) -> bool:
        """Whether a turn belongs to a conversation of a person's, and its facts were not kept yet."""
        sql = """
            SELECT 1 FROM sessions WHERE id = ? AND kind = 'chat'
            AND NOT EXISTS (SELECT 1 FROM memory_captures WHERE turn_id = ?)
        """
        return await self._database.read(lambda db: db.execute(sql, (session_id, turn_id)).fetchone() is not None)

    async def keep_once(self, turn_id: str, drafts: Sequence[Draft]) -> tuple[Memory, ...]:
        """Keep or propose what a turn has told, once for each turn, all of it or nothing."""

        def job(db: sqlite3.Connection) -> tuple[Memory, ...]:
            sql = "INSERT INTO memory_captures (turn_id) VALUES (?) ON CONFLICT DO NOTHING"
            if not db.execute(sql, (turn_id,)).rowcount:
                return ()
            return tuple(_keep(db, draft) for draft in drafts)

        kept = await self._database.write(job)
        self._outbox.wake()
        return kept

    async def forget(self, memory_id: str) -> None:
        """Delete a memory or a proposal for good. Raises NOT_FOUND; CONFLICT when it stands in a file."""
        await self._database.write(lambda db: records.forget(db, memory_id))
        self._outbox.wake()

    async def newest(self, limit: int) -> tuple[Memory, ...]:
        """List memories, newest first."""
        sql = "SELECT * FROM memories WHERE state = 'kept' ORDER BY seq DESC LIMIT ?"
        return await self._database.read(lambda db: tuple(memory_of(row) for row in db.execute(sql, (limit,))))

    async def proposed(self) -> tuple[Memory, ...]:
        """List what waits to be accepted, oldest first."""
        sql = "SELECT * FROM memories WHERE state = 'proposed' ORDER BY seq"
        return await self._database.read(lambda db: tuple(memory_of(row) for row in db.execute(sql)))

    async def accept(self, ids: Sequence[str]) -> int:
        """Turn proposals into memories, all or none. Raises NOT_FOUND."""
        count = await self._database.write(lambda db: records.accept(db, ids))
        self._outbox.wake()
        return count

    async def export(self, after: int) -> MemoryPage:
        """Read a page of all that stands in no file, in the order it came."""
        sql = "SELECT * FROM memories WHERE seq > ? AND state = 'kept' AND file IS NULL ORDER BY seq LIMIT ?"
        rows = await self._database.read(lambda db: db.execute(sql, (after, _PAGE)).fetchall())
        following = rows[-1]["seq"] if len(rows) == _PAGE else None
        return MemoryPage(memories=tuple(memory_of(row) for row in rows), next=following)

    async def take_in(self, given: Sequence[MemoryRecord]) -> MemoryImported:
        """Import records, all or none; the same again changes nothing."""
        came = await self._database.write(lambda db: [records.take_in(db, one) for one in given])
        self._outbox.wake()
        return MemoryImported(
            added=came.count("added"), updated=came.count("updated"), unchanged=came.count("unchanged")
        )

    async def search(self, query: str, limit: int) -> tuple[Memory, ...]:
        """Find memories, best first. While ocg-embedding is away, they are found by word alone.

        A memory's score is its cosine to the query; where that is not known, the share of the query's terms it has.
        """
        return await self._find(query, limit)

    async def recall(self, message: str, limit: int, *, min_score: float) -> tuple[Memory, ...]:
        """Find what belongs to a message, and nothing else."""
        near = await self._find(message, limit, min_score=min_score)
        self._note_used(near)
        return near

    async def _find(self, query: str, limit: int, *, min_score: float | None = None) -> tuple[Memory, ...]:
        if not await self._database.read(_has_any):
            return ()
        short = query[:_READ_CHARS]
        wanted, blend = terms(short), self._weights.blend(short)
        depth = max(limit, blend.depth)
        worded, similar = await asyncio.gather(
            self._database.read(lambda db: by_word(db, wanted, depth)),
            self._meaning.nearest(query, depth, timeout_s=_SEARCH_TIMEOUT_S),
        )
        by_meaning, now = similar or {}, time.time()

        def job(db: sqlite3.Connection) -> tuple[Memory, ...]:
            rows = records.fetch(db, list(dict.fromkeys([*by_meaning, *worded])))
            found = best(short, by_meaning, worded, rows, now=now, weights=self._weights)
            near = (one for one in found if min_score is None or one.is_near(min_score, blend.least_share))
            return tuple(one.memory for one in itertools.islice(without_repeats(near), limit))

        return await self._database.read(job)

    def _note_used(self, memories: Sequence[Memory]) -> None:
        if len(self._used) < _MAX_USED:
            now = time.time()
            self._used |= {memory.id: now for memory in memories}
            self._was_used.set()

    async def split_anew(self) -> None:
        """Split the texts anew that an older OCG has split, some at a time, so that searches go on between."""
        while await self._database.write(lambda db: records.reindexed(db, _REINDEXED)):
            pass

    async def run_for_ever(self) -> None:
        """Keep when memories were used, some at once and off a turn's way."""
        await self.split_anew()
        while True:
            await self._was_used.wait()
            self._was_used.clear()
            used, self._used = self._used, {}
            if used:
                with suppress(OcgError):  # a full disk: nothing of worth is lost
                    await self._database.write(lambda db, used=used: _used(db, used))  # type: ignore[misc]
            await asyncio.sleep(_USED_PAUSE_S)


def _keep(db: sqlite3.Connection, draft: Draft) -> Memory:
    row = records.same_text(db, draft.text, draft.source) or _same_wording(db, draft.text)
    if row is not None:
        return memory_of(records.renew(db, row, draft))
    if draft.is_proposed:
        (waiting,) = db.execute("SELECT count(*) FROM memories WHERE state = 'proposed'").fetchone()
        if waiting >= _MAX_PROPOSED:
            raise OcgError(
                Code.BUSY, f"{waiting} memories wait to be accepted", "ocg memory proposed, then accept or rm them"
            )
    return memory_of(records.add(db, draft))


def _same_wording(db: sqlite3.Connection, text: str) -> sqlite3.Row | None:
    """Find a memory that states the same in the same words and stands in no file."""
    likely = by_word(db, terms(text[:_READ_CHARS]), _SAME_CANDIDATES)
    rows, said = records.fetch(db, list(likely)), wording(text)
    fitting = (rows[one] for one in likely if one in rows and rows[one]["file"] is None)
    return next((row for row in fitting if wording(row["text"]) == said), None)


def _used(db: sqlite3.Connection, used: dict[str, float]) -> None:
    db.executemany("UPDATE memories SET used_at = ? WHERE id = ?", [(at, one) for one, at in used.items()])


def _has_any(db: sqlite3.Connection) -> bool:
    return db.execute("SELECT 1 FROM memories LIMIT 1").fetchone() is not None
