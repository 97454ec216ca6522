"""Looking back into the owner's conversations: those in which nobody else has spoken, and which people see."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from ocg.database import Database
from ocg.errors import Code, OcgError

_OWNERS = """
    kind = 'chat' AND NOT EXISTS (
        SELECT 1 FROM turns WHERE session_id = sessions.id AND (NOT is_owners OR is_stranger)
    )
"""
_SAID = "messages.role IN ('user', 'assistant') AND messages.content != ''"
# All are looked through for a word, which takes 0.1 s for 50,000 of a kilobyte each.
_SEARCHED = 50_000


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation, with how many messages it has."""

    id: str
    title: str
    updated_at: float
    messages: int


@dataclass(frozen=True, slots=True)
class Said:
    """What was said in a conversation: `number` is its place among all messages there are."""

    session_id: str
    title: str
    number: int
    role: str
    content: str
    created_at: float


class Conversations:
    """The part of agent.db that has them, to be read."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def newest(self, limit: int) -> tuple[Conversation, ...]:
        """List those touched last."""
        sql = f"""
            SELECT id, title, updated_at, (SELECT count(*) FROM messages WHERE session_id = sessions.id) AS messages
            FROM sessions WHERE {_OWNERS} ORDER BY updated_at DESC LIMIT ?
        """
        rows = await self._database.read(lambda db: db.execute(sql, (limit,)).fetchall())
        return tuple(Conversation(**dict(row)) for row in rows)

    async def read(self, session_id: str, *, before: int, limit: int) -> tuple[Said, ...]:
        """Return what was said last in one, before the message of a number. Raises NOT_FOUND."""

        def job(db: sqlite3.Connection) -> list[sqlite3.Row]:
            if db.execute(f"SELECT 1 FROM sessions WHERE id = ? AND {_OWNERS}", (session_id,)).fetchone() is None:
                raise OcgError(Code.NOT_FOUND, f"no conversation {session_id[:128]!r}", "list or search them")
            where = "session_id = ? AND messages.seq < ?"
            return _said(db, where, (session_id, before, limit))

        rows = await self._database.read(job)
        return tuple(Said(**dict(row)) for row in reversed(rows))

    async def search(self, words: Sequence[str], *, limit: int) -> tuple[Said, ...]:
        """Find the latest that has all these words, in whichever case ASCII has it."""
        where = f"{_OWNERS} AND messages.seq > (SELECT max(seq) FROM messages) - {_SEARCHED}"
        where += " AND messages.content LIKE ? ESCAPE '\\'" * len(words)
        rows = await self._database.read(lambda db: _said(db, where, (*map(_pattern, words), limit)))
        return tuple(Said(**dict(row)) for row in rows)


def _said(db: sqlite3.Connection, where: str, values: Sequence[object]) -> list[sqlite3.Row]:
    sql = f"""
        SELECT session_id, title, messages.seq AS number, role, content, messages.created_at AS created_at
        FROM messages JOIN sessions ON sessions.id = messages.session_id
        WHERE {_SAID} AND {where} ORDER BY messages.seq DESC LIMIT ?
    """
    return db.execute(sql, values).fetchall()


def _pattern(word: str) -> str:
    for special in "\\%_":
        word = word.replace(special, f"\\{special}")
    return f"%{word}%"
