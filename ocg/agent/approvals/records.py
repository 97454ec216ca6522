"""What is kept of approvals and decisions, on disk when it returns."""

import hashlib
import secrets
import sqlite3
import time
from dataclasses import dataclass

from ocg.agent.rows import Turn, put
from ocg.database import Database
from ocg.errors import Code, OcgError
from ocg.protocol.approvals import Answer, Approval, ApprovalAnswer, ApprovalList, Decided, DecisionList
from ocg.protocol.messages import ToolUse

_KEPT = 100_000
_KEPT_S = 90 * 86400.0
_EXCERPT_CHARS = 200
_LISTED = 1000
LATE = ApprovalAnswer(answer="deny", by="timeout")
_ENDED = ApprovalAnswer(answer="deny", by="the turn ended")
_REMEMBERED = """
    SELECT answer FROM approvals JOIN turns ON turns.id = turn_id
    WHERE coalesce(spawned ->> 'session_id', approvals.session_id) = ? AND name = ? AND command = ? AND network = ?
        AND remember = 'session'
        AND (channel, is_stranger, CASE WHEN is_owners THEN '' ELSE asker END) = (?, ?, ?)
    ORDER BY approvals.seq DESC LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class About:
    """What an answer that is remembered holds for, beside the tool: whether it has the network, and a `command`.

    For a call with a URL its host takes that place.
    """

    command: str = ""
    has_network: bool = False


class Records:
    """The part of agent.db that keeps them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def waiting(self) -> ApprovalList:
        """Return what waits, oldest first."""
        sql = f"SELECT * FROM approvals WHERE answer = '' ORDER BY seq LIMIT {_LISTED}"
        found = await self._database.read(lambda db: db.execute(sql).fetchall())
        return ApprovalList(approvals=tuple(_approval(row) for row in found))

    async def decisions(self, limit: int) -> DecisionList:
        """Return the latest decisions, the newest first."""
        sql = "SELECT * FROM decisions ORDER BY seq DESC LIMIT ?"
        found = await self._database.read(lambda db: db.execute(sql, (limit,)).fetchall())
        return DecisionList(decisions=tuple(_decided(row) for row in found))

    async def of_call(self, turn: Turn, call: ToolUse) -> Approval | None:
        """Return what a person was, or is, asked about a call."""
        return (await self._database.read(lambda db: of_turn(db, turn.id))).get(call.id)

    async def get(self, approval_id: str) -> Approval:
        """Return an approval. Raises NOT_FOUND."""
        return await self._database.read(lambda db: _get(db, approval_id))

    async def remembered(self, turn: Turn, tool: str, about: About) -> Answer | None:
        """Return the answer that was to hold for the rest of a conversation, for turns of the same origin."""
        key = (turn.conversation, tool, about.command, about.has_network, *turn.origin)
        found = await self._database.read(lambda db: db.execute(_REMEMBERED, key).fetchone())
        return found["answer"] if found else None

    async def ask(self, turn: Turn, call: ToolUse, *, about: About, why: str, time_s: float) -> Approval:
        """Keep that a person is asked about a call; one who was asked before a restart has as long again."""
        now = time.time()
        row = {
            "id": secrets.token_hex(6),  # people type it
            "session_id": turn.session_id,
            "turn_id": turn.id,
            "channel": turn.channel,
            "call_id": call.id,
            "name": call.name,
            "arguments": call.arguments,
            "command": about.command,
            "network": about.has_network,
            "why": why,
            "asked_at": now,
            "expires_at": now + time_s,
        }
        sql = "UPDATE approvals SET expires_at = ? WHERE turn_id = ? AND call_id = ? RETURNING *"

        def job(db: sqlite3.Connection) -> Approval:
            known = db.execute(sql, (row["expires_at"], turn.id, call.id)).fetchone()
            return _approval(known or put(db, "approvals", row))

        return await self._database.write(job)

    async def answer(self, approval_id: str, asked: ApprovalAnswer) -> Approval:
        """Keep the first answer there is, and return which that is: after its time, that nobody gave one.

        Raises NOT_FOUND.
        """
        return await self._database.write(lambda db: _answer(db, approval_id, asked))

    async def decide(self, turn: Turn, call: ToolUse, answer: Answer, by: str) -> None:
        """Keep what was decided without a question."""
        about = (turn.id, turn.session_id, turn.channel, call.name, call.arguments)
        await self._database.write(lambda db: _decide(db, about, answer, by))


def of_turn(db: sqlite3.Connection, turn_id: str) -> dict[str, Approval]:
    """Return a turn's approvals by the ids of their calls."""
    found = db.execute("SELECT * FROM approvals WHERE turn_id = ?", (turn_id,))
    return {row["call_id"]: _approval(row) for row in found}


def close(db: sqlite3.Connection, turn_id: str) -> None:
    """Deny what waits in a turn that ends."""
    for row in db.execute("SELECT id FROM approvals WHERE turn_id = ? AND answer = ''", (turn_id,)).fetchall():
        _answer(db, row["id"], _ENDED)


def _answer(db: sqlite3.Connection, approval_id: str, asked: ApprovalAnswer) -> Approval:
    found = _get(db, approval_id)
    if found.answer:
        return found
    kept = LATE if found.expires_at <= time.time() else asked  # who waits for it may not know: a machine sleeps
    sql = "UPDATE approvals SET answer = ?, answered_by = ?, remember = ? WHERE id = ?"
    db.execute(sql, (kept.answer, kept.by, kept.remember, approval_id))
    about = (found.turn_id, found.session_id, found.channel, found.name, found.arguments)
    _decide(db, about, kept.answer, kept.by)
    return _get(db, approval_id)


def _get(db: sqlite3.Connection, approval_id: str) -> Approval:
    row = db.execute("SELECT * FROM approvals WHERE id = ?", (approval_id,)).fetchone()
    if row is None:
        raise OcgError(Code.NOT_FOUND, f"no approval {approval_id!r}", "see what waits: ocg approval list")
    return _approval(row)


def _decide(db: sqlite3.Connection, about: tuple[str, str, str, str, str], answer: Answer, by: str) -> None:
    turn_id, session_id, channel, tool, arguments = about
    now = time.time()
    row = {
        "at": now,
        "turn_id": turn_id,
        "session_id": session_id,
        "channel": channel,
        "tool": tool,
        "arguments": arguments[:_EXCERPT_CHARS],
        "digest": hashlib.sha256(arguments.encode()).hexdigest(),
        "decision": answer,
        "decided_by": by,
    }
    made = put(db, "decisions", row)
    db.execute("DELETE FROM decisions WHERE seq <= ? OR at < ?", (made["seq"] - _KEPT, now - _KEPT_S))


def _approval(row: sqlite3.Row) -> Approval:
    plain = ("id", "turn_id", "session_id", "channel", "call_id", "name", "arguments", "why", "answer")
    times = {key: row[key] for key in ("asked_at", "expires_at")}
    return Approval(**{key: row[key] for key in plain}, **times, by=row["answered_by"])


def _decided(row: sqlite3.Row) -> Decided:
    plain = ("turn_id", "session_id", "channel", "tool", "arguments", "digest", "decision")
    return Decided(**{key: row[key] for key in plain}, at=row["at"], by=row["decided_by"])
