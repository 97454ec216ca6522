"""Sessions, turns and messages on disk. Each method is one transaction, on the disk when it returns."""

import sqlite3
import time
import uuid

import msgspec

from ocg.agent import deliveries, rows, slash
from ocg.agent.approvals import records as approvals
from ocg.agent.rows import STEPS, Entry, Told, Turn, insert, message_of, session_of, turn_of
from ocg.agent.spawned import Spawned
from ocg.database import Database
from ocg.errors import Code, OcgError
from ocg.protocol.messages import Message, Session, SessionList, Transcript, TurnError, TurnLog, TurnRequest, Usage
from ocg.protocol.replies import ReplyOptions

_TITLE_CHARS = 60
_API_KEPT_S = 86400.0  # long enough to ask again with the same message id
_SESSION = """
    SELECT id, title, created_at, updated_at,
        (SELECT count(*) FROM messages WHERE session_id = sessions.id) AS messages
    FROM sessions
"""


_DROP_SPAWNED = """
    DELETE FROM sessions WHERE id IN (SELECT session_id FROM turns WHERE spawned ->> 'session_id' = ?)
"""
_DROP_IMAGES = """
    DELETE FROM images WHERE turn_id = ? AND (SELECT kind FROM sessions WHERE id = ?) = 'api'
"""
# A few at a time: a request waits for it.
_DROP_OLD = """
    DELETE FROM sessions WHERE id IN (
        SELECT id FROM sessions WHERE kind = 'api' AND updated_at < ? ORDER BY updated_at LIMIT 20
    )
"""


class Store:
    """The agent's part of agent.db that is not memory."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def known(self, request: TurnRequest) -> Turn | None:
        """Return the turn that a request repeats, if it repeats one. Raises CONFLICT as `accept` does."""
        return await self._database.read(lambda db: _known(db, request))

    async def accept(self, request: TurnRequest, spawned: Spawned | None = None) -> Turn:
        """Keep a request as a turn and return it. The same message id is the same turn, as far as it has come.

        Raises CONFLICT when a message id comes back with another text, or in another conversation.
        """
        return await self._database.write(lambda db: _known(db, request) or _accept(db, request, spawned))

    async def unfinished(self) -> list[Turn]:
        """Return the turns that a stop or a crash cut off, oldest first."""
        sql = "SELECT * FROM turns WHERE state IN ('queued', 'running') ORDER BY seq"
        return await self._database.read(lambda db: [turn_of(row) for row in db.execute(sql)])

    async def begin(self, turn: Turn) -> Turn:
        """Put the turn's message into the transcript, once; count how often it was cut off. Return it as it is now.

        Raises NOT_FOUND when its session was deleted.
        """

        def job(db: sqlite3.Connection) -> Turn:
            found = turn_of(_require(db, turn))
            if found.state == "queued":
                rows.insert_asked(db, turn, turn)
                sql = "UPDATE turns SET state = 'running', began_at = ? WHERE id = ? RETURNING *"
                return turn_of(db.execute(sql, (time.time(), turn.id)).fetchone())
            if found.state == "running":
                sql = "UPDATE turns SET attempts = attempts + 1 WHERE id = ? RETURNING *"
                return turn_of(db.execute(sql, (turn.id,)).fetchone())
            return found

        return await self._database.write(job)

    async def steps(self, turn_id: str) -> list[Message]:
        """Return a turn's messages, oldest first."""
        return await self._database.read(lambda db: [message_of(row) for row in db.execute(STEPS, (turn_id,))])

    async def told(self, turn_id: str) -> list[Told]:
        """Return a turn's messages, oldest first, with the numbers of the events that told of them."""

        def job(db: sqlite3.Connection) -> list[Told]:
            asked = approvals.of_turn(db, turn_id)
            return [rows.told_of(row, asked) for row in db.execute(STEPS, (turn_id,))]

        return await self._database.read(job)

    async def turn(self, turn_id: str) -> Turn:
        """Return a turn. Raises NOT_FOUND."""
        return await self._database.read(lambda db: turn_of(_row_of(db, turn_id)))

    async def log(self, turn_id: str) -> TurnLog:
        """Return all that is kept of a turn. Raises NOT_FOUND."""

        def job(db: sqlite3.Connection) -> TurnLog:
            return rows.log_of(_row_of(db, turn_id), [message_of(row) for row in db.execute(STEPS, (turn_id,))])

        return await self._database.read(job)

    async def history(self, session_id: str) -> list[Message]:
        """Return a session's messages behind what was summed up, oldest first, every tool call with its result.

        A call without one, whatever left it so, is mended on disk, once: it can never make a session unusable.
        """
        sql = "SELECT coalesce(max(watermark), 0) FROM compactions WHERE session_id = ?"

        def job(db: sqlite3.Connection) -> list[Message]:
            return rows.mended(db, session_id, db.execute(sql, (session_id,)).fetchone()[0])

        return await self._database.write(job)

    async def add(self, turn: Turn, entry: Entry) -> None:
        """Keep a step of a turn, and what it took. Raises NOT_FOUND when its session was deleted."""

        def job(db: sqlite3.Connection) -> None:
            _require(db, turn)
            insert(db, (turn.session_id, turn.id), entry)

        await self._database.write(job)

    async def charge(self, turn: Turn, usage: Usage) -> None:
        """Add to what a turn took what a tool of its did."""
        await self._database.write(lambda db: rows.charge(db, turn.id, usage))

    async def join(self, turn: Turn, into: Turn, event_seq: int) -> bool:
        """Make the message of a turn that waits a part of one that runs; whether there was time for it.

        Raises NOT_FOUND when the session was deleted.
        """

        def job(db: sqlite3.Connection) -> bool:
            is_waiting = _require(db, turn)["state"] == "queued"
            if not is_waiting or _require(db, into)["state"] != "running":
                return False
            rows.insert_asked(db, turn, into, event_seq)
            sql = "UPDATE turns SET state = 'completed', joined = ?, ended_at = ? WHERE id = ?"
            db.execute(sql, (into.id, time.time(), turn.id))
            return True

        return await self._database.write(job)

    async def finish(
        self,
        turn: Turn,
        error: TurnError | None = None,
        *,
        cut_off: Entry | None = None,
        event_seq: int | None = None,
    ) -> Turn:
        """End a turn, once, and return how it ended; `cut_off` is what there is of a step that did not end.

        `event_seq` is where the turn's events stand. What waits for the answer in a channel gets it by the outbox.
        Raises NOT_FOUND when its session was deleted.
        """

        def job(db: sqlite3.Connection) -> Turn:
            found = turn_of(_require(db, turn))
            if not found.is_open:
                return found
            key = (turn.session_id, turn.id)
            if cut_off is not None:
                insert(db, key, cut_off)
            steps = [message_of(row) for row in db.execute(STEPS, (turn.id,))]
            rows.answer_open_calls(db, key, steps)
            approvals.close(db, turn.id)
            state, kept = ("failed", msgspec.json.encode(error).decode()) if error else ("completed", None)
            # What a client of an API sent along is with the client, and nobody reads it any more.
            sql = """
                UPDATE turns SET state = ?, error = ?, ended_at = ?, event_seq = ?, context = '[]', options = '{}'
                WHERE id = ? RETURNING *
            """
            last_seq = None if event_seq is None else event_seq + 1
            ended = turn_of(db.execute(sql, (state, kept, time.time(), last_seq, turn.id)).fetchone())
            if ended.spawned:
                rows.charge(db, ended.spawned.turn_id, ended.usage)
            deliveries.add(db, ended, steps)
            db.execute(_DROP_IMAGES, (turn.id, turn.session_id))
            return ended

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

    async def rename_session(self, session_id: str, title: str) -> Session:
        """Give a session another title; it does not count as touched. Raises NOT_FOUND."""

        def job(db: sqlite3.Connection) -> Session:
            db.execute("UPDATE sessions SET title = ? WHERE id = ?", (title, session_id))
            found = db.execute(f"{_SESSION} WHERE id = ?", (session_id,)).fetchone()
            if found is None:
                raise _no_session(session_id)
            return session_of(found)

        return await self._database.write(job)

    async def delete_session(self, session_id: str) -> None:
        """Delete a session with all it has, and what sub-agents did for it. Raises NOT_FOUND."""

        def job(db: sqlite3.Connection) -> None:
            db.execute(_DROP_SPAWNED, (session_id,))
            if not db.execute("DELETE FROM sessions WHERE id = ?", (session_id,)).rowcount:
                raise _no_session(session_id)

        await self._database.write(job)

    async def session_count(self) -> int:
        """How many conversations people see."""
        sql = "SELECT count(*) FROM sessions WHERE kind = 'chat'"
        return await self._database.read(lambda db: int(db.execute(sql).fetchone()[0]))


def _known(db: sqlite3.Connection, request: TurnRequest) -> Turn | None:
    if request.message_id is None:
        return None
    key = rows.message_key(request.asker, request.message_id)
    row = db.execute("SELECT * FROM turns WHERE message_id = ?", (key,)).fetchone()
    if row is None:
        return None
    if row["message"] != request.message or request.session_id not in {None, row["session_id"]}:
        raise OcgError(Code.CONFLICT, f"message id {request.message_id!r} was used for another message", "use a new id")
    return turn_of(row)


def _accept(db: sqlite3.Connection, request: TurnRequest, spawned: Spawned | None) -> Turn:
    now, session_id = time.time(), request.session_id or uuid.uuid4().hex
    is_command = slash.is_command(request)
    title = (request.message.strip().splitlines() or ["…"])[0]
    title = title if len(title) <= _TITLE_CHARS else f"{title[: _TITLE_CHARS - 1]}…"
    db.execute(
        "INSERT INTO sessions VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET updated_at = excluded.updated_at",
        (session_id, title, request.kind, now, now),
    )
    if request.kind == "api":
        db.execute(_DROP_OLD, (now - _API_KEPT_S,))
    row = {
        "id": uuid.uuid4().hex,
        "session_id": session_id,
        "message_id": rows.message_key(request.asker, request.message_id or uuid.uuid4().hex),
        "message": request.message,
        "context": msgspec.json.encode(request.context).decode(),
        "options": msgspec.json.encode(ReplyOptions() if is_command else request.options).decode(),
        "mode": request.mode,
        "state": "queued",
        "reply_to": msgspec.json.encode(request.reply_to).decode() if request.reply_to else None,
        "created_at": now,
        "is_command": is_command,
        "is_stranger": request.is_stranger,
        "kind": request.kind,
        "asker": request.asker.name,
        "is_owners": request.asker.is_owner,
        "spawned": msgspec.json.encode(spawned).decode() if spawned else None,
    }
    turn = turn_of(rows.put(db, "turns", row))
    images = [(turn.id, image.media_type, image.data) for image in request.images]
    db.executemany("INSERT INTO images (turn_id, media_type, data) VALUES (?, ?, ?)", images)
    return turn


def _require(db: sqlite3.Connection, turn: Turn) -> sqlite3.Row:
    row: sqlite3.Row | None = db.execute("SELECT * FROM turns WHERE id = ?", (turn.id,)).fetchone()
    if row is None:
        raise OcgError(Code.NOT_FOUND, "the conversation was deleted", "begin a new one")
    return row


def _row_of(db: sqlite3.Connection, turn_id: str) -> sqlite3.Row:
    row: sqlite3.Row | None = db.execute("SELECT * FROM turns WHERE id = ?", (turn_id,)).fetchone()
    if row is None:
        raise OcgError(Code.NOT_FOUND, f"no turn {turn_id!r}", "its conversation may have been deleted")
    return row


def _no_session(session_id: str) -> OcgError:
    return OcgError(Code.NOT_FOUND, f"no conversation {session_id!r}", "list them with GET /v1/sessions")
