"""The rows of schedules and of their runs as structs, what new ones are made of, and the longer statements."""

import datetime as dt
import sqlite3

import msgspec

from ocg.agent.schedules import timing
from ocg.agent.zones import zone_of
from ocg.protocol.messages import ReplyTo, TurnError, TurnRequest
from ocg.protocol.schedules import Schedule, ScheduleRequest, ScheduleRun

_MOST_MISSED = 100
_LATE_S = 60.0

# With the id of the run that has not ended.
SCHEDULES = """
    SELECT *, (SELECT id FROM schedule_runs WHERE schedule = name AND state = 'running') AS running FROM schedules
"""
FINISH = """
    UPDATE schedule_runs SET state = :state, error = :error, ended_at = :now, request = '' WHERE id = :id
"""
DROP_RUNS = """
    DELETE FROM schedule_runs WHERE schedule = (SELECT schedule FROM schedule_runs WHERE id = :id) AND seq <= (
        SELECT seq FROM schedule_runs AS one WHERE one.schedule = schedule_runs.schedule
        ORDER BY seq DESC LIMIT 1 OFFSET :kept
    )
"""
# What was for one time and is over: one that is named, and those that are old.
DROP_FINISHED = """
    DELETE FROM schedules WHERE next_at IS NULL
        AND NOT EXISTS (SELECT 1 FROM schedule_runs WHERE schedule = name AND state = 'running')
        AND (name = ? OR coalesce((SELECT max(ended_at) FROM schedule_runs WHERE schedule = name), created_at) < ?)
"""
_LAST_RUN = "SELECT * FROM schedule_runs WHERE schedule = ? ORDER BY seq DESC LIMIT 1"


def schedule_of(db: sqlite3.Connection, row: sqlite3.Row) -> Schedule:
    """Read a row of schedules, with the last run."""
    last = db.execute(_LAST_RUN, (row["name"],)).fetchone()
    return Schedule(
        name=row["name"],
        when=row["timing"],
        message=row["message"],
        zone=row["zone"],
        session=row["session"],
        reply_to=_reply_to(row),
        created_at=row["created_at"],
        next_at=row["next_at"],
        is_paused=bool(row["is_paused"]),
        last_run=run_of(last) if last else None,
    )


def run_of(row: sqlite3.Row) -> ScheduleRun:
    """Read a row of schedule_runs."""
    keys = ("id", "due_at", "began_at", "session_id", "missed", "state", "ended_at", "turn_id")
    error = msgspec.json.decode(row["error"], type=TurnError) if row["error"] else None
    return ScheduleRun(**{key: row[key] for key in keys}, is_asked=bool(row["is_asked"]), error=error)


def timing_of(row: sqlite3.Row) -> timing.Timing:
    """Read when a schedule is due."""
    return timing.read(row["timing"], row["zone"], row["created_at"])


def missed(row: sqlite3.Row, now: float) -> tuple[int, float | None]:
    """Return how often a schedule that is due fell due again since, up to a hundred times, and when it will next."""
    found, count = timing_of(row), 0
    next_at = found.after(row["next_at"])
    while next_at is not None and next_at <= now and count < _MOST_MISSED:
        next_at, count = found.after(next_at), count + 1
    return count, (next_at if next_at is None or next_at > now else found.after(now))


def new_schedule(request: ScheduleRequest, now: float, next_at: float) -> dict[str, object]:
    """Make the row of a schedule."""
    return {
        "name": request.name,
        "timing": request.when,
        "zone": request.zone,
        "message": request.message,
        "session": request.session,
        "reply_to": msgspec.json.encode(request.reply_to).decode() if request.reply_to else None,
        "created_at": now,
        "next_at": next_at,
    }


def run_id(row: sqlite3.Row) -> str:
    """Return the id of the run that is due next: a schedule and a time have one, so that none is begun twice."""
    return f"{session_of(row['name'])}@{_ms(row['created_at']):x}@{_ms(row['next_at'])}"


def session_of(name: str) -> str:
    """Return the conversation of a schedule; no token's name begins so, and none has an @ (ocg/gateway/caller.py)."""
    return f"schedule@{name}"


def new_run(row: sqlite3.Row, now: float, *, missed: int = 0, is_asked: bool = False) -> dict[str, object]:
    """Make the row of a run that begins now: one that is due, or one that is asked for."""
    due_at = now if is_asked else row["next_at"]
    own = session_of(row["name"])
    made = {
        "id": f"{own}@{_ms(row['created_at']):x}@asked@{_ms(now)}" if is_asked else run_id(row),
        "schedule": row["name"],
        "session_id": own if row["session"] == "own" else f"{own}@{_ms(due_at)}",
        "due_at": due_at,
        "began_at": now,
        "is_asked": is_asked,
        "missed": missed,
    }
    request = TurnRequest(
        message=row["message"] if now - due_at < _LATE_S and not missed else _late(row, due_at, missed),
        session_id=str(made["session_id"]),
        message_id=str(made["id"]),
        reply_to=_reply_to(row),
    )
    return made | {"request": msgspec.json.encode(request).decode()}


def _late(row: sqlite3.Row, due_at: float, missed: int) -> str:
    """Return what is asked late, with when it was due; a command takes no such note."""
    text = str(row["message"])
    if text.startswith("/"):
        return text
    due = dt.datetime.fromtimestamp(due_at, zone_of(row["zone"]))
    besides = f", and {missed} more times since; this is done once for all" if missed else ""
    return f"{text}\n\n(This was due at {due:%Y-%m-%d %H:%M}{besides}.)"


def _reply_to(row: sqlite3.Row) -> ReplyTo | None:
    return msgspec.json.decode(row["reply_to"], type=ReplyTo) if row["reply_to"] else None


def _ms(moment: float) -> int:
    return int(moment * 1000)
