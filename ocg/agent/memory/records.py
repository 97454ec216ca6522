"""Memories as rows: each function is a part of its caller's transaction, and keeps words and outbox in step.

A memory that is only proposed has neither words nor a note in the outbox: nothing finds it before it is accepted.
"""

import sqlite3
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from ocg.agent.words import VERSION, words
from ocg.errors import Code, OcgError
from ocg.protocol.messages import Memory, MemoryRecord

USER = "user"
_TAGS = tuple[str, ...]
_MAX_TAGS = 16
# Ids that follow from texts: an import of lines without ids changes nothing when it is repeated.
_NAMESPACE = uuid.UUID("6f0e7b0c-6c39-4a53-9f0e-6d1d9a3c1b52")


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A memory to be kept, or proposed."""

    text: str
    kind: str = "fact"
    source: str = USER
    tags: tuple[str, ...] = ()
    importance: float = 0.5
    is_proposed: bool = False
    file: str | None = None


def memory_of(row: sqlite3.Row, score: float | None = None) -> Memory:
    """Read a row."""
    return Memory(
        id=row["id"],
        text=row["text"],
        kind=row["kind"],
        source=row["source"],
        tags=msgspec.json.decode(row["tags"], type=_TAGS),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        used_at=row["used_at"],
        importance=row["importance"],
        score=score,
    )


def add(db: sqlite3.Connection, draft: Draft) -> sqlite3.Row:
    """Keep a new memory."""
    now = time.time()
    record = MemoryRecord(
        id=uuid.uuid4().hex,
        text=draft.text,
        kind=draft.kind,
        source=draft.source,
        tags=draft.tags,
        importance=draft.importance,
        created_at=now,
        updated_at=now,
    )
    return _insert(db, record, state="proposed" if draft.is_proposed else "kept", file=draft.file)


def same_text(db: sqlite3.Connection, text: str, source: str) -> sqlite3.Row | None:
    """Find the memory with exactly this text that stands in no file; or the proposal, where it is not another's."""
    sql = """
        SELECT * FROM memories WHERE text = ? AND file IS NULL AND (state = 'kept' OR ? IN (source, ?))
        ORDER BY state, seq LIMIT 1
    """
    row: sqlite3.Row | None = db.execute(sql, (text, source, USER)).fetchone()
    return row


def renew(db: sqlite3.Connection, row: sqlite3.Row, draft: Draft) -> sqlite3.Row:
    """Have a memory say what was said last, in its words; what it was worth before stays.

    What the user says makes another's memory the user's; what another says changes none but his own. A proposal that is
    said again by somebody who need not ask is accepted by that.
    """
    if draft.is_proposed or draft.source not in {row["source"], USER}:
        return row
    is_same_source = draft.source == row["source"]
    kind = row["kind"] if is_same_source else draft.kind
    importance = max(row["importance"], draft.importance) if is_same_source else draft.importance
    tags = tuple(dict.fromkeys((*msgspec.json.decode(row["tags"], type=_TAGS), *draft.tags)))[:_MAX_TAGS]
    sql = """
        UPDATE memories SET text = ?, kind = ?, source = ?, tags = ?, importance = ?, updated_at = ?, state = 'kept'
        WHERE seq = ? RETURNING *
    """
    encoded = msgspec.json.encode(tags).decode()
    values = (draft.text, kind, draft.source, encoded, importance, time.time(), row["seq"])
    renewed: sqlite3.Row = db.execute(sql, values).fetchone()
    if (renewed["text"], renewed["state"]) != (row["text"], row["state"]):
        _follow(db, renewed)
    return renewed


def accept(db: sqlite3.Connection, ids: Iterable[str]) -> int:
    """Turn proposals into memories; return how many. Raises NOT_FOUND, with nothing accepted."""
    count = 0
    for memory_id in ids:
        row = _known(db, memory_id)
        if row["state"] == "proposed":
            sql = "UPDATE memories SET state = 'kept', updated_at = ? WHERE seq = ? RETURNING *"
            _follow(db, db.execute(sql, (time.time(), row["seq"])).fetchone())
            count += 1
    return count


def forget(db: sqlite3.Connection, memory_id: str) -> None:
    """Delete a memory or a proposal. Raises NOT_FOUND; CONFLICT for one that a file would bring back."""
    row = _known(db, memory_id)
    if row["file"] is not None:
        raise OcgError(
            Code.CONFLICT, f"this memory stands in a file, {row['source'].removeprefix('file:')}", "edit that file"
        )
    delete(db, [row])


def delete(db: sqlite3.Connection, rows: Iterable[sqlite3.Row]) -> None:
    """Delete memories with all that follows from them."""
    for row in rows:
        db.execute("DELETE FROM memories WHERE seq = ?", (row["seq"],))
        db.execute("DELETE FROM memory_words WHERE rowid = ?", (row["seq"],))
        if row["state"] == "kept":
            db.execute("INSERT INTO memory_outbox (id) VALUES (?)", (row["id"],))


def take_in(db: sqlite3.Connection, record: MemoryRecord) -> str:
    """Import one record: "added", "updated" where it is newer than what is there, or "unchanged".

    One without times is newer when it says something else. A memory of the user's is changed by no other source.
    """
    made = _completed(record)
    row = db.execute("SELECT * FROM memories WHERE id = ?", (made.id,)).fetchone()
    if row is None:
        if record.id is None and same_text(db, record.text, made.source) is not None:
            return "unchanged"
        _insert(db, made)
        return "added"
    is_timed = record.updated_at is not None or record.created_at is not None
    is_newer = (
        (made.updated_at or 0.0) > row["updated_at"] if is_timed else _content(record) != _content(memory_of(row))
    )
    is_anothers = row["source"] == USER != made.source
    if row["file"] is not None or is_anothers or not is_newer:
        return "unchanged"
    sql = f"UPDATE memories SET state = 'kept', {', '.join(f'{key} = ?' for key in _KEPT)} WHERE seq = ? RETURNING *"
    _follow(db, db.execute(sql, (*_values(made), row["seq"])).fetchone())
    return "updated"


def reindexed(db: sqlite3.Connection, limit: int) -> int:
    """Split some of the texts again that an older OCG has split; return how many there were."""
    sql = "SELECT * FROM memories WHERE indexed < ? LIMIT ?"
    rows = db.execute(sql, (VERSION, limit)).fetchall()
    for row in rows:
        _index(db, row)
    return len(rows)


def fetch(db: sqlite3.Connection, ids: Sequence[str]) -> dict[str, sqlite3.Row]:
    """Read memories by id; those that are not there any more are left out."""
    found: dict[str, sqlite3.Row] = {}
    for at in range(0, len(ids), 500):
        part = tuple(ids[at : at + 500])
        marks = ",".join("?" * len(part))
        sql = f"SELECT * FROM memories WHERE state = 'kept' AND id IN ({marks})"
        found |= {row["id"]: row for row in db.execute(sql, part)}
    return found


_KEPT = ("text", "kind", "source", "tags", "importance", "created_at", "updated_at", "used_at")


def _values(record: MemoryRecord) -> tuple[object, ...]:
    tags = msgspec.json.encode(record.tags).decode()
    return tuple(tags if key == "tags" else getattr(record, key) for key in _KEPT)


def _content(one: Memory | MemoryRecord) -> tuple[object, ...]:
    return one.text, one.kind, one.source, one.tags, one.importance


def _completed(record: MemoryRecord) -> MemoryRecord:
    """Fill in what a short line leaves out."""
    created = time.time() if record.created_at is None else record.created_at
    return msgspec.structs.replace(
        record,
        id=record.id or uuid.uuid5(_NAMESPACE, record.text).hex,
        created_at=created,
        updated_at=created if record.updated_at is None else record.updated_at,
    )


def _insert(
    db: sqlite3.Connection, record: MemoryRecord, *, state: str = "kept", file: str | None = None
) -> sqlite3.Row:
    keys = ("id", *_KEPT, "state", "file")
    sql = f"INSERT INTO memories ({', '.join(keys)}) VALUES ({', '.join('?' * len(keys))}) RETURNING *"
    row: sqlite3.Row = db.execute(sql, (record.id, *_values(record), state, file)).fetchone()
    if state == "kept":
        _follow(db, row)
    return row


def _follow(db: sqlite3.Connection, row: sqlite3.Row) -> None:
    """Have words and vectors follow a memory's text."""
    _index(db, row)
    db.execute("INSERT INTO memory_outbox (id) VALUES (?)", (row["id"],))


def _index(db: sqlite3.Connection, row: sqlite3.Row) -> None:
    db.execute("DELETE FROM memory_words WHERE rowid = ?", (row["seq"],))
    if row["state"] == "kept":
        db.execute("INSERT INTO memory_words (rowid, words) VALUES (?, ?)", (row["seq"], " ".join(words(row["text"]))))
    db.execute("UPDATE memories SET indexed = ? WHERE seq = ?", (VERSION, row["seq"]))


def _known(db: sqlite3.Connection, memory_id: str) -> sqlite3.Row:
    row: sqlite3.Row | None = db.execute("SELECT * FROM memories WHERE id = ?", (memory_id,)).fetchone()
    if row is None:
        raise OcgError(Code.NOT_FOUND, f"no memory {memory_id!r}", "ocg memory list")
    return row
