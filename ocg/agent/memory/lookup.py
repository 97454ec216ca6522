"""The two ways in which memories are looked for: by word in agent.db, by meaning in ocg-embedding."""

import asyncio
import logging
import sqlite3
from collections.abc import Sequence

from ocg.agent.imports import load_aiohttp
from ocg.agent.outbox import COLLECTION, Outbox
from ocg.agent.words import share
from ocg.errors import OcgError
from ocg.protocol.clients import EmbeddingClient

_log = logging.getLogger(__name__)
_QUERY_CHARS = 400  # what any embedding model takes, even at a token a character


def by_word(db: sqlite3.Connection, wanted: Sequence[str], limit: int) -> dict[str, float]:
    """Return ids with the share of the terms each has, by FTS5's bm25, best first.

    Terms come from `words`: letters and digits alone, so that nothing in them is FTS5's syntax.
    """
    if not wanted:
        return {}
    query = " OR ".join(f'"{term}"' for term in wanted)
    sql = """
        SELECT memories.id, memory_words.words FROM memory_words JOIN memories ON memories.seq = memory_words.rowid
        WHERE memory_words MATCH ? ORDER BY memory_words.rank LIMIT ?
    """
    return {row["id"]: share(list(wanted), row["words"]) for row in db.execute(sql, (query, limit))}


class Meaning:
    """Looks for memories by meaning; while ocg-embedding is away or slow, there are none."""

    def __init__(self, embedding: EmbeddingClient, outbox: Outbox) -> None:
        self._embedding = embedding
        self._outbox = outbox

    async def nearest(self, text: str, limit: int, *, timeout_s: float) -> dict[str, float] | None:
        """Return ids with their cosine, best first; None when ocg-embedding cannot say."""
        if not text.strip():
            return {}
        try:
            async with asyncio.timeout(timeout_s):
                self._outbox.look()
                await self._outbox.deliver_recent()  # so that what was stored a moment ago is found by its meaning too
                await load_aiohttp()
                hits = await self._embedding.search(text[:_QUERY_CHARS], top_k=limit, collection=COLLECTION)
        except (OcgError, TimeoutError) as error:
            _log.info("looking by words only: %s", str(error) or "ocg-embedding is slow")
            if isinstance(error, OcgError):
                self._outbox.doubt(error)
            return None
        return {hit.id: min(max(hit.score, 0.0), 1.0) for hit in hits}
