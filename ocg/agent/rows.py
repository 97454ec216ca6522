"""The rows of agent.db as structs, and the few statements that more than one transaction needs."""

import sqlite3
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from ocg.agent.transcript import INTERRUPTED, open_calls
from ocg.protocol.messages import ContextMessage, Message, Role, Session, ToolUse, Usage

_CALLS = tuple[ToolUse, ...]
_CONTEXT = tuple[ContextMessage, ...]


class TurnError(msgspec.Struct, frozen=True):
    """Why a turn failed, as it is kept."""

    code: str
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn as it was accepted, and how far it has come."""

    id: str
    session_id: str
    message_id: str
    message: str
    context: tuple[ContextMessage, ...]
    state: str
    error: TurnError | None
    usage: Usage
    is_command: bool = False

    @property
    def is_open(self) -> bool:
        """Whether it has yet to end."""
        return self.state in {"queued", "running"}


def turn_of(row: sqlite3.Row) -> Turn:
    """Read a row of turns."""
    return Turn(
        id=row["id"],
        session_id=row["session_id"],
        message_id=row["message_id"],
        message=row["message"],
        context=msgspec.json.decode(row["context"], type=_CONTEXT),
        state=row["state"],
        error=msgspec.json.decode(row["error"], type=TurnError) if row["error"] else None,
        usage=Usage(prompt_tokens=row["prompt_tokens"], completion_tokens=row["completion_tokens"]),
        is_command=bool(row["is_command"]),
    )


def message_of(row: sqlite3.Row) -> Message:
    """Read a row of messages."""
    calls = msgspec.json.decode(row["tool_calls"], type=_CALLS) if row["tool_calls"] else ()
    return Message(
        id=row["id"],
        role=row["role"],
        content=row["content"],
        created_at=row["created_at"],
        tool_calls=calls,
        tool_call_id=row["tool_call_id"],
    )


def session_of(row: sqlite3.Row) -> Session:
    """Read a row of sessions, with its number of messages."""
    return Session(**{key: row[key] for key in ("id", "title", "created_at", "updated_at", "messages")})


def insert(
    db: sqlite3.Connection,
    turn: tuple[str, str],
    role: Role,
    content: str,
    *,
    tool_calls: Sequence[ToolUse] = (),
    tool_call_id: str | None = None,
) -> None:
    """Add a message to a turn, given as its session's id and its own."""
    session_id, turn_id = turn
    now = time.time()
    calls = msgspec.json.encode(_distinct(db, session_id, tool_calls)).decode() if tool_calls else None
    db.execute(
        "INSERT INTO messages (id, session_id, turn_id, role, content, tool_calls, tool_call_id, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (uuid.uuid4().hex, session_id, turn_id, role, content, calls, tool_call_id, now),
    )
    db.execute("UPDATE sessions SET updated_at = ? WHERE id = ?", (now, session_id))


def _distinct(db: sqlite3.Connection, session_id: str, calls: Sequence[ToolUse]) -> list[ToolUse]:
    """Give calls new ids where the session knows theirs: some models count from `call_0` in every reply."""
    sql = "SELECT 1 FROM messages WHERE session_id = ? AND tool_call_id = ?"
    seen: set[str] = set()
    made: list[ToolUse] = []
    for call in calls:
        is_known = call.id in seen or db.execute(sql, (session_id, call.id)).fetchone() is not None
        made.append(msgspec.structs.replace(call, id=f"call_{uuid.uuid4().hex}") if is_known else call)
        seen.add(call.id)
    return made


def mended(db: sqlite3.Connection, session_id: str) -> list[Message]:
    """Return a session's messages; a call that nobody will answer any more gets a result, on disk."""
    sql = "SELECT * FROM messages WHERE session_id = ? ORDER BY seq"
    rows = db.execute(sql, (session_id,)).fetchall()
    running = {row["id"] for row in db.execute("SELECT id FROM turns WHERE state IN ('queued', 'running')")}
    by_turn: dict[str, list[Message]] = {}
    for row in rows:
        by_turn.setdefault(row["turn_id"], []).append(message_of(row))
    broken = [turn_id for turn_id, messages in by_turn.items() if turn_id not in running and open_calls(messages)]
    for turn_id in broken:
        answer_open_calls(db, (session_id, turn_id), by_turn[turn_id])
    return [message_of(row) for row in (db.execute(sql, (session_id,)) if broken else rows)]


def answer_open_calls(db: sqlite3.Connection, turn: tuple[str, str], steps: Sequence[Message]) -> None:
    """Answer a turn's open calls with what is known of them: nothing."""
    for call in open_calls(steps):
        insert(db, turn, "tool", INTERRUPTED.format(name=call.name), tool_call_id=call.id)
