"""Sessions, turns and messages on disk. Each method is one transaction, on the disk when it returns."""

import sqlite3
import time
import uuid
from collections.abc import Sequence

import msgspec

from ocg.agent import rows, slash
from ocg.agent.rows import Turn, TurnError, insert, message_of, session_of, turn_of
from ocg.database import Database
from ocg.errors import Code, OcgError
from ocg.protocol.messages import Message, Role, SessionList, ToolUse, Transcript, TurnRequest, Usage

_TITLE_CHARS = 60
_API_KEPT_S = 86400.0  # long enough to ask again with the same message id
_SESSION = """
    SELECT id, title, created_at, updated_at,
        (SELECT count(*) FROM messages WHERE session_id = sessions.id) AS messages
    FROM sessions
"""
_STEPS = "SELECT * FROM messages WHERE turn_id = ? ORDER BY seq"


class Store:
    """The agent's part of agent.db that is not memory."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def known(self, request: TurnRequest) -> Turn | None:
        """Return the turn that a request repeats, if it repeats one. Raises CONFLICT as `accept` does."""
        if request.message_id is None:
            return None
        return await self._database.read(lambda db: _known(db, request))

    async def accept(self, request: TurnRequest) -> Turn:
        """Keep a request as a turn and return it. The same message id is the same turn, as far as it has come.

        Raises CONFLICT when a message id comes back with another text, or in another conversation.
        """
        return await self._database.write(lambda db: _known(db, request) or _accept(db, request))

    async def unfinished(self) -> list[Turn]:
        """Return the turns that a stop or a crash cut off, oldest first."""
        sql = "SELECT * FROM turns WHERE state IN ('queued', 'running') ORDER BY seq"
        return await self._database.read(lambda db: [turn_of(row) for row in db.execute(sql)])

    async def begin(self, turn: Turn) -> list[Message]:
        """Put the turn's message into the transcript, once, and return the turn's steps so far.

        Raises NOT_FOUND when its session was deleted.
        """

        def job(db: sqlite3.Connection) -> list[Message]:
            _require(db, turn)
            sql = "UPDATE turns SET state = 'running' WHERE id = ? AND state = 'queued'"
            if db.execute(sql, (turn.id,)).rowcount:
                insert(db, (turn.session_id, turn.id), "user", turn.message)
            return [message_of(row) for row in db.execute(_STEPS, (turn.id,))]

        return await self._database.write(job)

    async def steps(self, turn_id: str) -> list[Message]:
        """Return a turn's messages, oldest first."""
        return await self._database.read(lambda db: [message_of(row) for row in db.execute(_STEPS, (turn_id,))])

    async def history(self, session_id: str) -> list[Message]:
        """Return a session's messages, oldest first, every tool call with its result.

        A call without one, whatever left it so, is mended on disk, once: it can never make a session unusable.
        """
        return await self._database.write(lambda db: rows.mended(db, session_id))

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
        """Keep a step of a turn, and the tokens it took. Raises NOT_FOUND when its session was deleted."""

        def job(db: sqlite3.Connection) -> None:
            _require(db, turn)
            key = (turn.session_id, turn.id)
            insert(db, key, role, content, tool_calls=tool_calls, tool_call_id=tool_call_id)
            if usage is not None:
                db.execute(
                    "UPDATE turns SET prompt_tokens = prompt_tokens + ?, completion_tokens = completion_tokens + ?"
                    " WHERE id = ?",
                    (usage.prompt_tokens, usage.completion_tokens, turn.id),
                )

        await self._database.write(job)

    async def finish(self, turn: Turn, error: TurnError | None = None, *, said: str = "") -> Turn:
        """End a turn, once, and return how it ended; `said` is what the model had said of a step that was cut off.

        Raises NOT_FOUND when its session was deleted.
        """

        def job(db: sqlite3.Connection) -> Turn:
            found = turn_of(_require(db, turn))
            if not found.is_open:
                return found
            key = (turn.session_id, turn.id)
            if said:
                insert(db, key, "assistant", said)
            rows.answer_open_calls(db, key, [message_of(row) for row in db.execute(_STEPS, (turn.id,))])
            state, kept = ("failed", msgspec.json.encode(error).decode()) if error else ("completed", None)
            sql = "UPDATE turns SET state = ?, error = ?, ended_at = ? WHERE id = ? RETURNING *"
            return turn_of(db.execute(sql, (state, kept, time.time(), turn.id)).fetchone())

        return await self._database.write(job)

    async def sessions(self) -> SessionList:
        """List the conversations that people see, the one touched last first."""
        sql = f"{_SESSION} WHERE kind = 'chat' ORDER BY updated_at DESC LIMIT 1000"
        found = await self._database.read(lambda db: db.execute(sql).fetchall())
        return SessionList(sessions=tuple(session_of(row) for row in found))

    async def transcript(self, session_id: str) -> Transcript:
        """Return a session and all its messages, mended. Raises NOT_FOUND."""

        def job(db: sqlite3.Connection) -> Transcript:
            messages = tuple(rows.mended(db, session_id))
            session = db.execute(f"{_SESSION} WHERE id = ?", (session_id,)).fetchone()
            if session is None:
                raise _no_session(session_id)
            return Transcript(session=session_of(session), messages=messages)

        return await self._database.write(job)

    async def delete_session(self, session_id: str) -> None:
        """Delete a session with all it has. Raises NOT_FOUND."""

        def job(db: sqlite3.Connection) -> None:
            if not db.execute("DELETE FROM sessions WHERE id = ?", (session_id,)).rowcount:
                raise _no_session(session_id)

        await self._database.write(job)

    async def session_count(self) -> int:
        """How many conversations people see."""
        sql = "SELECT count(*) FROM sessions WHERE kind = 'chat'"
        return await self._database.read(lambda db: int(db.execute(sql).fetchone()[0]))


def _known(db: sqlite3.Connection, request: TurnRequest) -> Turn | None:
    row = db.execute("SELECT * FROM turns WHERE message_id = ?", (request.message_id,)).fetchone()
    if row is None:
        return None
    if row["message"] != request.message or request.session_id not in {None, row["session_id"]}:
        raise OcgError(Code.CONFLICT, f"message id {request.message_id!r} was used for another message", "use a new id")
    return turn_of(row)


def _accept(db: sqlite3.Connection, request: TurnRequest) -> Turn:
    now, session_id = time.time(), request.session_id or uuid.uuid4().hex
    title = (request.message.strip().splitlines() or ["…"])[0]
    title = title if len(title) <= _TITLE_CHARS else f"{title[: _TITLE_CHARS - 1]}…"
    db.execute(
        "INSERT INTO sessions VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET updated_at = excluded.updated_at",
        (session_id, title, request.kind, now, now),
    )
    if request.kind == "api":
        db.execute("DELETE FROM sessions WHERE kind = 'api' AND updated_at < ?", (now - _API_KEPT_S,))
    context = msgspec.json.encode(request.context).decode()
    sql = """
        INSERT INTO turns (id, session_id, message_id, message, context, state, created_at, is_command)
        VALUES (?, ?, ?, ?, ?, 'queued', ?, ?) RETURNING *
    """
    message_id = request.message_id or uuid.uuid4().hex
    values = (uuid.uuid4().hex, session_id, message_id, request.message, context, now, slash.is_command(request))
    return turn_of(db.execute(sql, values).fetchone())


def _require(db: sqlite3.Connection, turn: Turn) -> sqlite3.Row:
    row: sqlite3.Row | None = db.execute("SELECT * FROM turns WHERE id = ?", (turn.id,)).fetchone()
    if row is None:
        raise OcgError(Code.NOT_FOUND, "the conversation was deleted", "begin a new one")
    return row


def _no_session(session_id: str) -> OcgError:
    return OcgError(Code.NOT_FOUND, f"no conversation {session_id!r}", "list them with GET /v1/sessions")
