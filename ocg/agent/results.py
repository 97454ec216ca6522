"""Results of tools that are too long for a prompt: the model is shown both ends, and the whole is kept to be read."""

import hashlib
import re
import sqlite3
import time
from dataclasses import dataclass

from ocg.database import Database
from ocg.errors import Code, OcgError

SHOWN_CHARS = 16_000
_MAX_CHARS = 4 << 20
_MAX_TOTAL_CHARS = 64 << 20
_NOTE = "\n\n[… left out here: read_result with id={id} and offset={offset} reads on …]\n\n"
_LEFT_OUT = "\n\n[… left out here …]\n\n"
_KEPT = re.compile(r"read_result with id=([0-9a-f]{12}) ")


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of a result is shown, how much of one is kept, and how much of all."""

    shown: int = SHOWN_CHARS
    kept: int = _MAX_CHARS
    total: int = _MAX_TOTAL_CHARS


class Results:
    """The results that are kept: each goes with its session, and the oldest when there are too many."""

    def __init__(self, database: Database, limits: Limits | None = None) -> None:
        self._database = database
        self._limits = limits or Limits()

    async def shorten(self, session_id: str, content: str) -> str:
        """Cut a long result in its middle and keep the whole; another is given back as it is."""
        text = content.encode("utf-8", "replace").decode()  # SQLite takes no lone surrogate
        if len(text) <= self._limits.shown:
            return text
        whole = cut_middle(text, self._limits.kept)
        # The same result again is the same text, so that a model that goes in circles is noticed (loops.py).
        result_id = hashlib.blake2b(f"{session_id}\0{whole}".encode(), digest_size=6).hexdigest()
        await self._database.write(lambda db: _keep(db, session_id, result_id, whole, self._limits.total))
        return cut_middle(whole, self._limits.shown, result_id)

    async def read(self, result_id: str, offset: int, limit: int) -> str:
        """Return a part of a kept result, and where it goes on. Raises NOT_FOUND, or INVALID_REQUEST past its end."""
        sql = "SELECT substr(content, ?, ?) AS part, chars FROM tool_results WHERE id = ?"
        values = (offset + 1, limit, result_id)
        row = await self._database.read(lambda db: db.execute(sql, values).fetchone())
        if row is None:
            raise OcgError(Code.NOT_FOUND, f"no result {result_id!r} is kept", "call the tool again")
        part, chars, end = row["part"], row["chars"], offset + len(row["part"])
        if offset >= chars:
            raise OcgError(Code.INVALID_REQUEST, f"offset {offset} is past the end", f"it has {chars} characters")
        return part if end >= chars else f"{part}\n[characters {offset} to {end} of {chars}; go on at offset={end}]"


def cut_middle(text: str, chars: int, result_id: str = "") -> str:
    """Cut a text in its middle to at most so many characters, with a note of how the rest can be had.

    One that was cut before is of a result whose id is in it, and begins as the whole does.
    """
    if len(text) <= chars:
        return text
    if not result_id and (before := _KEPT.search(text)):
        result_id = before[1]
    note = _NOTE if result_id else _LEFT_OUT
    room = max(chars - len(note.format(id=result_id, offset=len(text))), 0)
    head, tail = room - room // 2, room // 2
    return f"{text[:head]}{note.format(id=result_id, offset=head)}{text[len(text) - tail :]}"[:chars]


def _keep(db: sqlite3.Connection, session_id: str, result_id: str, text: str, total: int) -> None:
    if db.execute("SELECT 1 FROM sessions WHERE id = ?", (session_id,)).fetchone() is None:
        raise OcgError(Code.NOT_FOUND, "the conversation was deleted", "begin a new one")
    sql = """
        INSERT INTO tool_results (id, session_id, content, chars, created_at) VALUES (?, ?, ?, ?, ?)
        ON CONFLICT (id) DO NOTHING
    """
    db.execute(sql, (result_id, session_id, text, len(text), time.time()))
    room = total
    for row in db.execute("SELECT seq, chars FROM tool_results ORDER BY seq DESC").fetchall():
        room -= row["chars"]
        if room < 0:
            db.execute("DELETE FROM tool_results WHERE seq <= ?", (row["seq"],))
            return
