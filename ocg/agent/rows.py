"""The rows of agent.db as structs, and the few statements that more than one transaction needs."""

import sqlite3
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from ocg.agent import slash
from ocg.agent.spawned import Spawned
from ocg.agent.transcript import INTERRUPTED, open_calls
from ocg.protocol.approvals import Approval
from ocg.protocol.messages import (
    AskedBy,
    ContextMessage,
    Message,
    Mode,
    ReplyTo,
    Role,
    Session,
    ToolUse,
    TurnError,
    TurnLog,
    Usage,
)
from ocg.protocol.replies import ReplyOptions

_CALLS = tuple[ToolUse, ...]
_SPANS = tuple[tuple[bool, int], ...]
_CONTEXT = tuple[ContextMessage, ...]
STEPS = "SELECT * FROM messages WHERE turn_id = ? ORDER BY seq"


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn as it was accepted, and how far it has come; `seq` is its place among all.

    With `spawned` it is a sub-agent's.
    """

    seq: int
    id: str
    session_id: str
    message_id: str
    message: str
    context: tuple[ContextMessage, ...]
    mode: Mode
    state: str
    attempts: int
    error: TurnError | None
    usage: Usage
    event_seq: int | None
    joined: str | None
    reply_to: ReplyTo | None
    is_command: bool = False
    options: ReplyOptions = ReplyOptions()
    is_stranger: bool = False
    kind: Literal["chat", "api"] = "chat"
    asker: AskedBy = AskedBy()
    spawned: Spawned | None = None

    @property
    def question(self) -> str:
        """What the user said last, before the results that a client may send."""
        said = [one.content for one in self.context if one.role == "user"]
        return self.message or (said[-1] if said else "")

    @property
    def channel(self) -> str:
        """The channel that it came by, if it came by one."""
        if self.spawned:
            return self.spawned.channel
        return self.reply_to.channel if self.reply_to else ""

    @property
    def conversation(self) -> str:
        """The session that rules for tools look at: a sub-agent's is that in which it was asked for."""
        return self.spawned.session_id if self.spawned else self.session_id

    @property
    def origin(self) -> tuple[str, bool, str]:
        """Where it came from, as far as rules for tools look at that, and whose rights it has."""
        return self.channel, self.is_stranger, "" if self.asker.is_owner else self.asker.name

    @property
    def is_owners(self) -> bool:
        """Whether the owner asks: others change nothing that outlives the conversation."""
        return self.asker.is_owner and not self.is_stranger

    @property
    def is_open(self) -> bool:
        """Whether it has yet to end."""
        return self.state in {"queued", "running"}

    @property
    def is_immediate(self) -> bool:
        """Whether it waits for nothing: most commands."""
        return self.is_command and not slash.waits(self.message)

    @property
    def is_clients(self) -> bool:
        """Whether it is only for the client that waits for it, which keeps the conversation itself."""
        return self.kind == "api" and self.reply_to is None

    @property
    def steers(self) -> bool:
        """Whether it would rather join a turn that runs."""
        return self.mode == "steer" and not self.is_command

    def is_ended_by(self, other: "Turn") -> bool:
        """Whether another turn came later and was to end it."""
        is_its_session = other.session_id == self.session_id
        return is_its_session and other.seq > self.seq and other.mode == "interrupt" and other.state == "queued"


@dataclass(frozen=True, slots=True)
class Entry:
    """A message to be added; `event_seq` is the number of the last event that tells of it, if anybody is told."""

    role: Role
    content: str
    event_seq: int | None = None
    tool_calls: tuple[ToolUse, ...] = ()
    tool_call_id: str | None = None
    reasoning: str = ""
    opaque: str = ""
    model: str = ""
    usage: Usage | None = None
    images: int = 0
    spans: tuple[tuple[bool, int], ...] = ()
    client_calls: tuple[ToolUse, ...] = ()
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class Told:
    """A message, and the number of the last event that told of it.

    `spans` say in which order a reply was thought and said, where it was not first the one and then the other: whether
    it is thought, and how many characters. With an `approval` it is the result of a call that a person was asked about.
    """

    message: Message
    event_seq: int | None
    spans: tuple[tuple[bool, int], ...] = ()
    approval: Approval | None = None


def message_key(asker: AskedBy, message_id: str) -> str:
    """Return what a message id is kept as: nobody meets another's, or takes it from the owner."""
    return message_id if asker.is_owner else f"{asker.name}\n{message_id}"


def turn_of(row: sqlite3.Row) -> Turn:
    """Read a row of turns."""
    asker = AskedBy(name=row["asker"], is_owner=bool(row["is_owners"]))
    return Turn(
        seq=row["seq"],
        id=row["id"],
        session_id=row["session_id"],
        message_id=row["message_id"].removeprefix(message_key(asker, "")),
        message=row["message"],
        context=msgspec.json.decode(row["context"], type=_CONTEXT),
        mode=row["mode"],
        state=row["state"],
        attempts=row["attempts"],
        error=msgspec.json.decode(row["error"], type=TurnError) if row["error"] else None,
        usage=usage_of(row),
        is_command=bool(row["is_command"]),
        event_seq=row["event_seq"],
        joined=row["joined"],
        reply_to=msgspec.json.decode(row["reply_to"], type=ReplyTo) if row["reply_to"] else None,
        options=msgspec.json.decode(row["options"], type=ReplyOptions),
        is_stranger=bool(row["is_stranger"]),
        kind=row["kind"],
        asker=asker,
        spawned=msgspec.json.decode(row["spawned"], type=Spawned) if row["spawned"] else None,
    )


def usage_of(row: sqlite3.Row) -> Usage:
    """Read what a turn took."""
    return Usage(**{key: row[key] for key in ("prompt_tokens", "completion_tokens", "cached_tokens", "cost")})


def log_of(row: sqlite3.Row, steps: Sequence[Message]) -> TurnLog:
    """Read a row of turns, for people."""
    turn = turn_of(row)
    return TurnLog(
        id=turn.id,
        session_id=turn.session_id,
        message_id=turn.message_id,
        message=turn.message,
        mode=turn.mode,
        state=turn.state,
        accepted_at=row["created_at"],
        began_at=row["began_at"],
        ended_at=row["ended_at"],
        attempts=turn.attempts,
        usage=turn.usage,
        error=turn.error,
        joined=turn.joined,
        steps=tuple(steps),
    )


def message_of(row: sqlite3.Row) -> Message:
    """Read a row of messages."""
    return Message(
        id=row["id"],
        role=row["role"],
        content=row["content"],
        created_at=row["created_at"],
        tool_calls=msgspec.json.decode(row["tool_calls"], type=_CALLS) if row["tool_calls"] else (),
        tool_call_id=row["tool_call_id"],
        reasoning=row["reasoning"],
        opaque=row["opaque"],
        model=row["model"],
        usage=msgspec.json.decode(row["usage"], type=Usage) if row["usage"] else None,
        images=row["images"],
        client_calls=msgspec.json.decode(row["client_calls"], type=_CALLS) if row["client_calls"] else (),
        is_cut=bool(row["is_cut"]),
    )


def session_of(row: sqlite3.Row) -> Session:
    """Read a row of sessions, with its number of messages."""
    return Session(**{key: row[key] for key in ("id", "title", "created_at", "updated_at", "messages")})


def insert_asked(db: sqlite3.Connection, asked: Turn, into: Turn, event_seq: int | None = None) -> None:
    """Add what the user said with a turn, pictures included, to that turn or to another that it joins.

    A client that sends results of its tools says nothing with them.
    """
    (images,) = db.execute("SELECT count(*) FROM images WHERE turn_id = ?", (asked.id,)).fetchone()
    if not (asked.message or images):
        return
    message_id = insert(db, (into.session_id, into.id), Entry("user", asked.message, event_seq, images=images))
    db.execute("UPDATE images SET message_id = ? WHERE turn_id = ?", (message_id, asked.id))


def insert(db: sqlite3.Connection, turn: tuple[str, str], entry: Entry) -> str:
    """Add a message to a turn, given as its session's id and its own, and what it took to the turn's; return its id."""
    session_id, turn_id = turn
    now, usage = time.time(), entry.usage
    clients = _distinct(db, session_id, entry.client_calls)
    row = {
        "id": uuid.uuid4().hex,
        "session_id": session_id,
        "turn_id": turn_id,
        "role": entry.role,
        "content": entry.content,
        "tool_calls": _json(_distinct(db, session_id, entry.tool_calls)) if entry.tool_calls else None,
        "tool_call_id": entry.tool_call_id,
        "created_at": now,
        "event_seq": entry.event_seq,
        "reasoning": entry.reasoning,
        "opaque": entry.opaque,
        "model": entry.model,
        "usage": _json(usage) if usage else None,
        "images": entry.images,
        "spans": _json(entry.spans) if _is_mixed(entry.spans) else None,
        "client_calls": _json(clients) if clients else None,
        "is_cut": entry.is_cut,
    }
    put(db, "messages", row)
    sql = "INSERT INTO client_calls (call_id, session_id, opaque) VALUES (?, ?, ?)"
    db.executemany(sql, [(call.id, session_id, entry.opaque) for call in clients])
    db.execute("UPDATE sessions SET updated_at = ? WHERE id = ?", (now, session_id))
    if usage is not None:
        charge(db, turn_id, usage)
    return str(row["id"])


def charge(db: sqlite3.Connection, turn_id: str, usage: Usage) -> None:
    """Add to what a turn took: what a reply did, or a sub-agent."""
    db.execute(
        "UPDATE turns SET prompt_tokens = prompt_tokens + ?, completion_tokens = completion_tokens + ?,"
        " cached_tokens = cached_tokens + ?, cost = cost + ? WHERE id = ?",
        (usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens, usage.cost, turn_id),
    )


def put(db: sqlite3.Connection, table: str, row: Mapping[str, object]) -> sqlite3.Row:
    """Insert a row, given by column, and return it as it is then."""
    values = ", ".join(f":{key}" for key in row)
    made: sqlite3.Row = db.execute(
        f"INSERT INTO {table} ({', '.join(row)}) VALUES ({values}) RETURNING *", row
    ).fetchone()
    return made


def told_of(row: sqlite3.Row, approvals: Mapping[str, Approval]) -> Told:
    """Read a row of messages, with what telling it again takes; approvals of the turn are given by their calls."""
    spans = msgspec.json.decode(row["spans"], type=_SPANS) if row["spans"] else ()
    return Told(message_of(row), row["event_seq"], spans, approvals.get(row["tool_call_id"] or ""))


def _is_mixed(spans: Sequence[tuple[bool, int]]) -> bool:
    return [is_thought for is_thought, _ in spans] not in ([], [True], [False], [True, False])


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _distinct(db: sqlite3.Connection, session_id: str, calls: Sequence[ToolUse]) -> list[ToolUse]:
    """Give calls new ids where theirs are known: some models count from `call_0` in every reply."""
    sql = """
        SELECT 1 FROM messages WHERE session_id = :session AND tool_call_id = :call
        UNION ALL SELECT 1 FROM client_calls WHERE call_id = :call
    """
    seen: set[str] = set()
    made: list[ToolUse] = []
    for call in calls:
        is_known = call.id in seen or db.execute(sql, {"session": session_id, "call": call.id}).fetchone() is not None
        made.append(msgspec.structs.replace(call, id=f"call_{uuid.uuid4().hex}") if is_known else call)
        seen.add(call.id)
    return made


def mended(db: sqlite3.Connection, session_id: str, after: int = 0) -> list[Message]:
    """Return a session's messages behind a number; a call that nobody will answer any more gets a result, on disk."""
    sql = "SELECT * FROM messages WHERE session_id = ? AND seq > ? ORDER BY seq"
    rows = db.execute(sql, (session_id, after)).fetchall()
    running = {row["id"] for row in db.execute("SELECT id FROM turns WHERE state IN ('queued', 'running')")}
    by_turn: dict[str, list[Message]] = {}
    for row in rows:
        by_turn.setdefault(row["turn_id"], []).append(message_of(row))
    broken = [turn_id for turn_id, messages in by_turn.items() if turn_id not in running and open_calls(messages)]
    for turn_id in broken:
        answer_open_calls(db, (session_id, turn_id), by_turn[turn_id])
    return [message_of(row) for row in (db.execute(sql, (session_id, after)) if broken else rows)]


def answer_open_calls(db: sqlite3.Connection, turn: tuple[str, str], steps: Sequence[Message]) -> None:
    """Answer a turn's open calls with what is known of them: nothing."""
    for call in open_calls(steps):
        insert(db, turn, Entry("tool", INTERRUPTED.format(name=call.name), tool_call_id=call.id))
