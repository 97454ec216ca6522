"""Sessions, turns and messages on disk. Each method is one transaction, on the disk when it returns."""

import sqlite3
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from ocg.database import Database
from ocg.errors import Code, OcgError
from ocg.protocol.messages import (
    ContextMessage,
    Message,
    Role,
    Session,
    SessionList,
    ToolUse,
    Transcript,
    TurnRequest,
    Usage,
)

_TITLE_CHARS = 60
_SESSION = """
    SELECT id, title, created_at, updated_at,
        (SELECT count(*) FROM messages WHERE session_id = sessions.id) AS messages
    FROM sessions
"""


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

    @property
    def is_open(self) -> bool:
        """Whether it has yet to end."""
        return self.state in {"queued", "running"}


class Store:
    """The agent's part of agent.db that is not memory."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def accept(self, request: TurnRequest) -> Turn:
        """Keep a request as a turn and return it. The same message id is the same turn, as far as it has come.

        Raises CONFLICT when a message id comes back with another text.
        """
        return await self._database.write(lambda db: _accept(db, request))

    async def unfinished(self) -> list[Turn]:
        """Return the turns that a stop or a crash cut off, oldest first."""
        sql = "SELECT * FROM turns WHERE state IN ('queued', 'running') ORDER BY seq"
        return await self._database.read(lambda db: [_turn(row) for row in db.execute(sql)])

    async def begin(self, turn: Turn) -> None:
        """Put the turn's message into the transcript, once."""
        await self._database.write(lambda db: _begin(db, turn))

    async def steps(self, turn_id: str) -> list[Message]:
        """Return a turn's messages, oldest first."""
        sql = "SELECT * FROM messages WHERE turn_id = ? ORDER BY seq"
        return await self._database.read(lambda db: [_message(row) for row in db.execute(sql, (turn_id,))])

    async def history(self, session_id: str) -> list[Message]:
        """Return a session's messages, oldest first, every tool call with its result.

        A call without one, whatever left it so, is mended on disk, once: it can never make a session unusable.
        """
        return await self._database.write(lambda db: _mended(db, session_id))

    async def add(
        self,
        turn: Turn,
        role: Role,
        content: str,
        *,
        tool_calls: Sequence[ToolUse] = (),
        tool_call_id: str | None = None,
        usage: Usage | None = None,
    ) -> None:
        """Keep a step of a turn, and the tokens it took."""

        def job(db: sqlite3.Connection) -> None:
            _add(db, turn.session_id, turn.id, role, content, tool_calls, tool_call_id)
            if usage is not None:
                db.execute(
                    "UPDATE turns SET prompt_tokens = prompt_tokens + ?, completion_tokens = completion_tokens + ?"
                    " WHERE id = ?",
                    (usage.prompt_tokens, usage.completion_tokens, turn.id),
                )

        await self._database.write(job)

    async def finish(self, turn_id: str, error: TurnError | None = None) -> Turn:
        """End a turn."""

        def job(db: sqlite3.Connection) -> Turn:
            state, kept = ("failed", msgspec.json.encode(error).decode()) if error else ("completed", None)
            sql = "UPDATE turns SET state = ?, error = ?, ended_at = ? WHERE id = ? RETURNING *"
            row = db.execute(sql, (state, kept, time.time(), turn_id)).fetchone()
            if row is None:
                raise OcgError(Code.NOT_FOUND, f"no turn {turn_id}", "its session was deleted")
            return _turn(row)

        return await self._database.write(job)

    async def sessions(self) -> SessionList:
        """List the conversations that people see, the one touched last first."""
        sql = f"{_SESSION} WHERE kind = 'chat' ORDER BY updated_at DESC LIMIT 1000"
        rows = await self._database.read(lambda db: db.execute(sql).fetchall())
        return SessionList(sessions=tuple(_session(row) for row in rows))

    async def transcript(self, session_id: str) -> Transcript:
        """Return a session and all its messages. Raises NOT_FOUND."""

        def job(db: sqlite3.Connection) -> Transcript:
            session = db.execute(f"{_SESSION} WHERE id = ?", (session_id,)).fetchone()
            if session is None:
                raise _no_session(session_id)
            rows = db.execute("SELECT * FROM messages WHERE session_id = ? ORDER BY seq", (session_id,))
            return Transcript(session=_session(session), messages=tuple(_message(row) for row in rows))

        return await self._database.read(job)

    async def delete_session(self, session_id: str) -> None:
        """Delete a session with all it has. Raises NOT_FOUND."""

        def job(db: sqlite3.Connection) -> None:
            if not db.execute("DELETE FROM sessions WHERE id = ?", (session_id,)).rowcount:
                raise _no_session(session_id)

        await self._database.write(job)

    async def session_count(self) -> int:
        """How many sessions there are."""
        return await self._database.read(lambda db: int(db.execute("SELECT count(*) FROM sessions").fetchone()[0]))


def _accept(db: sqlite3.Connection, request: TurnRequest) -> Turn:
    message_id = request.message_id or uuid.uuid4().hex
    known = db.execute("SELECT * FROM turns WHERE message_id = ?", (message_id,)).fetchone()
    if known is not None:
        if known["message"] != request.message:
            raise OcgError(Code.CONFLICT, f"message id {message_id!r} was used for another message", "use a new id")
        return _turn(known)
    now, session_id = time.time(), request.session_id or uuid.uuid4().hex
    title = (request.message.strip().splitlines() or ["…"])[0]
    title = title if len(title) <= _TITLE_CHARS else f"{title[: _TITLE_CHARS - 1]}…"
    db.execute(
        "INSERT INTO sessions VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET updated_at = excluded.updated_at",
        (session_id, title, request.kind, now, now),
    )
    context = msgspec.json.encode(request.context).decode()
    sql = """
        INSERT INTO turns (id, session_id, message_id, message, context, state, created_at)
        VALUES (?, ?, ?, ?, ?, 'queued', ?) RETURNING *
    """
    values = (uuid.uuid4().hex, session_id, message_id, request.message, context, now)
    return _turn(db.execute(sql, values).fetchone())


def _begin(db: sqlite3.Connection, turn: Turn) -> None:
    changed = db.execute("UPDATE turns SET state = 'running' WHERE id = ? AND state = 'queued'", (turn.id,)).rowcount
    if changed:
        _add(db, turn.session_id, turn.id, "user", turn.message)


def _add(
    db: sqlite3.Connection,
    session_id: str,
    turn_id: str,
    role: Role,
    content: str,
    tool_calls: Sequence[ToolUse] = (),
    tool_call_id: str | None = None,
) -> None:
    now = time.time()
    calls = msgspec.json.encode(tool_calls).decode() if tool_calls else None
    db.execute(
        "INSERT INTO messages (id, session_id, turn_id, role, content, tool_calls, tool_call_id, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (uuid.uuid4().hex, session_id, turn_id, role, content, calls, tool_call_id, now),
    )
    db.execute("UPDATE sessions SET updated_at = ? WHERE id = ?", (now, session_id))


def _mended(db: sqlite3.Connection, session_id: str) -> list[Message]:
    sql = "SELECT * FROM messages WHERE session_id = ? ORDER BY seq"
    rows = db.execute(sql, (session_id,)).fetchall()
    messages = [_message(row) for row in rows]
    answered = {message.tool_call_id for message in messages}
    running = {row["id"] for row in db.execute("SELECT id FROM turns WHERE state = 'running'")}
    missing = [
        (row["turn_id"], call)
        for row, message in zip(rows, messages, strict=True)
        for call in message.tool_calls
        if call.id not in answered and row["turn_id"] not in running
    ]
    for turn_id, call in missing:
        text = f"{call.name} was interrupted; whether it had an effect is not known"
        _add(db, session_id, turn_id, "tool", text, tool_call_id=call.id)
    return [_message(row) for row in db.execute(sql, (session_id,))] if missing else messages


def _turn(row: sqlite3.Row) -> Turn:
    return Turn(
        id=row["id"],
        session_id=row["session_id"],
        message_id=row["message_id"],
        message=row["message"],
        context=msgspec.json.decode(row["context"], type=tuple[ContextMessage, ...]),
        state=row["state"],
        error=msgspec.json.decode(row["error"], type=TurnError) if row["error"] else None,
        usage=Usage(prompt_tokens=row["prompt_tokens"], completion_tokens=row["completion_tokens"]),
    )


def _message(row: sqlite3.Row) -> Message:
    calls = msgspec.json.decode(row["tool_calls"], type=tuple[ToolUse, ...]) if row["tool_calls"] else ()
    return Message(
        id=row["id"],
        role=row["role"],
        content=row["content"],
        created_at=row["created_at"],
        tool_calls=calls,
        tool_call_id=row["tool_call_id"],
    )


def _session(row: sqlite3.Row) -> Session:
    return Session(**{key: row[key] for key in ("id", "title", "created_at", "updated_at", "messages")})


def _no_session(session_id: str) -> OcgError:
    return OcgError(Code.NOT_FOUND, f"no conversation {session_id!r}", "list them with GET /v1/sessions")
