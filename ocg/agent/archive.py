"""How far back a session's messages are shown to the model: all of them stay, and a mark says where they begin.

A mark is set by comparing with the one before it, in the transaction that writes the summary, so that doing it twice,
or half, changes nothing.
"""

import json
import sqlite3
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from ocg.agent.providers.base import Image
from ocg.database import Database
from ocg.protocol.messages import Message, Usage

_LATEST = "SELECT watermark, summary FROM compactions WHERE session_id = ? ORDER BY watermark DESC LIMIT 1"
_HIDDEN = """
    SELECT messages.id FROM turns JOIN messages ON messages.turn_id = turns.id
    WHERE turns.session_id = ? AND turns.is_command
"""
_MAX_IMAGES = 16  # a model is shown: each takes as many tokens as a long text
Kind = Literal["summary", "extract", "new"]


@dataclass(frozen=True, slots=True)
class Mark:
    """Messages up to this number are not shown any more; the summary stands for them. At first there is none."""

    seq: int = 0
    summary: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """A session as the model may see it: the mark, the messages after it that are no commands, and their pictures."""

    mark: Mark
    messages: tuple[Message, ...]
    images: Mapping[str, tuple[Image, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Counts:
    """What there is of a session: messages, how many of them are not shown any more, how often they were summed up."""

    messages: int
    hidden: int
    compactions: int


class Archive:
    """The part of agent.db that knows it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def view(self, session_id: str, history: Sequence[Message]) -> View:
        """Take out of a session's messages what is shown."""

        def job(db: sqlite3.Connection) -> tuple[Mark, str | None, frozenset[str]]:
            mark = _mark(db, session_id)
            sql = "SELECT id FROM messages WHERE session_id = ? AND seq <= ? ORDER BY seq DESC LIMIT 1"
            last = db.execute(sql, (session_id, mark.seq)).fetchone()
            hidden = frozenset(row["id"] for row in db.execute(_HIDDEN, (session_id,)))
            return mark, last["id"] if last else None, hidden

        mark, last, hidden = await self._database.read(job)
        begin = next((at + 1 for at, one in enumerate(history) if one.id == last), 0)
        shown = tuple(one for one in history[begin:] if one.id not in hidden)
        return View(mark, shown, await self._images(session_id) if any(one.images for one in shown) else {})

    async def _images(self, session_id: str) -> dict[str, tuple[Image, ...]]:
        """Return a session's newest pictures, by the ids of the messages that they came with."""
        sql = """
            SELECT images.message_id, images.media_type, images.data
            FROM messages JOIN images ON images.message_id = messages.id
            WHERE messages.session_id = ? AND messages.images > 0 ORDER BY images.seq DESC LIMIT ?
        """
        rows = await self._database.read(lambda db: db.execute(sql, (session_id, _MAX_IMAGES)).fetchall())
        found: dict[str, tuple[Image, ...]] = {}
        for row in rows:
            found[row["message_id"]] = (Image(row["media_type"], row["data"]), *found.get(row["message_id"], ()))
        return found

    async def opaque(self, calls: Sequence[str]) -> dict[str, str]:
        """Return what providers want back with calls that clients ran, by the calls' ids."""
        sql = "SELECT call_id, opaque FROM client_calls WHERE call_id IN (SELECT value FROM json_each(?))"
        found = await self._database.read(lambda db: db.execute(sql, (json.dumps(calls),)).fetchall())
        return {row["call_id"]: row["opaque"] for row in found if row["opaque"]}

    async def is_owners(self, session_id: str) -> bool:
        """Whether nobody but the owner has spoken in a session: neither others nor, to a sub-agent, the model."""
        sql = """
            SELECT 1 FROM turns WHERE session_id = ? AND (NOT is_owners OR is_stranger OR spawned IS NOT NULL) LIMIT 1
        """
        return await self._database.read(lambda db: db.execute(sql, (session_id,)).fetchone() is None)

    async def advance(
        self, session_id: str, *, before: Message, old: Mark, summary: str, kind: Kind, usage: Usage
    ) -> bool:
        """Move the mark to right before a message, if it still is the old one; say whether it was moved."""

        def job(db: sqlite3.Connection) -> bool:
            sql = "SELECT seq FROM messages WHERE session_id = ? AND id = ?"
            found = db.execute(sql, (session_id, before.id)).fetchone()
            if found is None or _mark(db, session_id).seq != old.seq or found["seq"] - 1 <= old.seq:
                return False
            _insert(db, session_id, Mark(found["seq"] - 1, summary), kind, usage)
            return True

        return await self._database.write(job)

    async def clear(self, session_id: str) -> None:
        """Move the mark to the end, without a summary."""

        def job(db: sqlite3.Connection) -> None:
            sql = "SELECT max(seq) FROM messages WHERE session_id = ?"
            seq = db.execute(sql, (session_id,)).fetchone()[0]
            if seq is not None and seq > _mark(db, session_id).seq:
                _insert(db, session_id, Mark(seq), "new", Usage())

        await self._database.write(job)

    async def counts(self, session_id: str) -> Counts:
        """Count a session's messages, without commands and their answers."""

        def job(db: sqlite3.Connection) -> Counts:
            mark, key = _mark(db, session_id).seq, (session_id,)
            sql = f"SELECT count(*) FROM messages WHERE session_id = ? AND seq <= ? AND id NOT IN ({_HIDDEN})"
            everything = db.execute(sql, (session_id, 1 << 62, session_id)).fetchone()[0]
            hidden = db.execute(sql, (session_id, mark, session_id)).fetchone()[0]
            sql = "SELECT count(*) FROM compactions WHERE session_id = ? AND kind != 'new'"
            return Counts(everything, hidden, db.execute(sql, key).fetchone()[0])

        return await self._database.read(job)

    async def memory_count(self) -> int:
        """How many memories there are."""
        sql = "SELECT count(*) FROM memories WHERE state = 'kept'"
        return await self._database.read(lambda db: int(db.execute(sql).fetchone()[0]))

    async def usage(self, *, session_id: str | None = None, since: float = 0.0) -> Usage:
        """Add up the tokens of a session, or of all, since a time; those of summing up among them."""
        where = "created_at >= ?" + (" AND session_id = ?" if session_id else "")
        values = (since, session_id) if session_id else (since,)
        sums = "coalesce(sum(prompt_tokens), 0), coalesce(sum(completion_tokens), 0)"

        def job(db: sqlite3.Connection) -> Usage:
            # What a sub-agent's turn took is in the turn that asked for it as well.
            tables = ("turns WHERE spawned IS NULL AND", "compactions WHERE")
            rows = [db.execute(f"SELECT {sums} FROM {table} {where}", values).fetchone() for table in tables]
            return Usage(prompt_tokens=sum(row[0] for row in rows), completion_tokens=sum(row[1] for row in rows))

        return await self._database.read(job)


def _mark(db: sqlite3.Connection, session_id: str) -> Mark:
    row = db.execute(_LATEST, (session_id,)).fetchone()
    return Mark(row["watermark"], row["summary"]) if row else Mark()


def _insert(db: sqlite3.Connection, session_id: str, mark: Mark, kind: Kind, usage: Usage) -> None:
    sql = """
        INSERT INTO compactions (session_id, watermark, summary, kind, prompt_tokens, completion_tokens, created_at)
        VALUES (?, ?, ?, ?, ?, ?, ?)
    """
    spent = (usage.prompt_tokens, usage.completion_tokens)
    db.execute(sql, (session_id, mark.seq, mark.summary, kind, *spent, time.time()))
