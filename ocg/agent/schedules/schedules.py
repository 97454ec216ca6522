"""The schedules, and their runs, on disk. Each method is one transaction, on the disk when it returns.

A run is written down in the transaction that moves its schedule to its next time, with the request for its turn. The
request has the run's id, so that whoever submits it, however often and after whatever crash, gets one turn.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass

import msgspec

from ocg.agent.rows import put
from ocg.agent.schedules import rows, timing
from ocg.agent.schedules.clock import Clock
from ocg.database import Database
from ocg.errors import Code, OcgError
from ocg.protocol.messages import TurnError, TurnRequest
from ocg.protocol.schedules import Schedule, ScheduleList, ScheduleRequest, ScheduleRun, ScheduleRunList

_log = logging.getLogger(__name__)

_MOST = 1000
_CLAIMED = 20  # in one transaction: others wait for it
_KEPT_RUNS = 100
_KEPT_S = 7 * 86400.0


@dataclass(frozen=True, slots=True)
class Begun:
    """A run that has not ended, and what its turn is asked with."""

    id: str
    request: TurnRequest


class Schedules:
    """The part of agent.db that has them; `news` is set when there may be something to do before its time."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self.clock = clock
        self.news = asyncio.Event()

    async def list(self) -> ScheduleList:
        """List them, the one that is due next first."""
        sql = f"{rows.SCHEDULES} ORDER BY next_at IS NULL, is_paused, next_at, name"
        found = await self._database.read(lambda db: [rows.schedule_of(db, row) for row in db.execute(sql).fetchall()])
        return ScheduleList(schedules=tuple(found))

    async def add(self, request: ScheduleRequest) -> Schedule:
        """Keep one; the same again changes nothing. One that is over makes room for another of its name.

        Raises INVALID_REQUEST for a time that never comes, CONFLICT where the name is taken, LIMIT.
        """
        made = await self._database.write(lambda db: _add(db, request, self.clock.now()))
        self.news.set()
        return made

    async def remove(self, name: str) -> None:
        """Remove one, with its history. Raises NOT_FOUND."""
        sql = "DELETE FROM schedules WHERE name = ?"
        if not await self._database.write(lambda db: db.execute(sql, (name,)).rowcount):
            raise _unknown(name)

    async def pause(self, name: str, *, is_paused: bool) -> Schedule:
        """Have one rest, or go on: what it missed meanwhile is left out, but not a time that was its only one.

        Raises NOT_FOUND.
        """

        def job(db: sqlite3.Connection) -> Schedule:
            row = _require(db, name)
            next_at, now = row["next_at"], self.clock.now()
            if row["is_paused"] and not is_paused and next_at is not None:
                next_at = rows.timing_of(row).after(now) or next_at
            sql = "UPDATE schedules SET is_paused = ?, next_at = ? WHERE name = ?"
            db.execute(sql, (is_paused, next_at, name))
            return rows.schedule_of(db, _require(db, name))

        changed = await self._database.write(job)
        self.news.set()
        return changed

    async def ask(self, name: str) -> ScheduleRun:
        """Begin a run now, beside those that are due. Raises NOT_FOUND, and CONFLICT while one runs."""

        def job(db: sqlite3.Connection) -> ScheduleRun:
            row = _require(db, name)
            if row["running"]:
                raise OcgError(Code.CONFLICT, f"the schedule {name!r} runs already", "wait for its end, or cancel it")
            return rows.run_of(put(db, "schedule_runs", rows.new_run(row, self.clock.now(), is_asked=True)))

        begun = await self._database.write(job)
        self.news.set()
        return begun

    async def runs(self, name: str) -> ScheduleRunList:
        """List what is kept of the runs of one, newest first. Raises NOT_FOUND."""

        def job(db: sqlite3.Connection) -> ScheduleRunList:
            _require(db, name)
            found = db.execute("SELECT * FROM schedule_runs WHERE schedule = ? ORDER BY seq DESC", (name,))
            return ScheduleRunList(runs=tuple(rows.run_of(row) for row in found))

        return await self._database.read(job)

    async def claim(self) -> None:
        """Write down runs of all that is due: one of each, which stands for all that were missed."""
        while await self._database.write(lambda db: _claim(db, self.clock.now())) == _CLAIMED:
            pass

    async def begun(self, but: Collection[str], most: int) -> tuple[Begun, ...]:
        """Return runs that have not ended, oldest first, without those that are known."""
        known = tuple(but)  # it may change while the job waits for its thread
        marks = ",".join("?" * len(known))
        sql = f"SELECT * FROM schedule_runs WHERE state = 'running' AND id NOT IN ({marks}) ORDER BY seq LIMIT ?"

        def job(db: sqlite3.Connection) -> tuple[Begun, ...]:
            found = db.execute(sql, (*known, most))
            return tuple(Begun(row["id"], msgspec.json.decode(row["request"], type=TurnRequest)) for row in found)

        return await self._database.read(job)

    async def next_at(self) -> float | None:
        """Return when the next is due."""
        sql = "SELECT min(next_at) FROM schedules WHERE is_paused = 0"
        found: float | None = await self._database.read(lambda db: db.execute(sql).fetchone()[0])
        return found

    async def realign(self) -> None:
        """See when each is due anew: the clock was put back, or the zone may be another. What is due stays so."""

        def job(db: sqlite3.Connection) -> None:
            now = self.clock.now()
            for row in db.execute("SELECT * FROM schedules WHERE next_at > ?", (now,)).fetchall():
                sql = "UPDATE schedules SET next_at = coalesce(?, next_at) WHERE name = ?"
                with suppress(OcgError):  # its zone is gone; that is told when it is due
                    db.execute(sql, (rows.timing_of(row).after(now), row["name"]))

        await self._database.write(job)

    async def note_turn(self, run_id: str, turn_id: str) -> None:
        """Keep which turn a run is."""
        sql = "UPDATE schedule_runs SET turn_id = ? WHERE id = ?"
        await self._database.write(lambda db: db.execute(sql, (turn_id, run_id)))

    async def finish(self, run_id: str, error: TurnError | None) -> None:
        """End a run. Of each schedule so many are kept."""
        values = {
            "id": run_id,
            "state": "failed" if error else "completed",
            "error": msgspec.json.encode(error).decode() if error else None,
            "now": self.clock.now(),
            "kept": _KEPT_RUNS,
        }

        def job(db: sqlite3.Connection) -> None:
            db.execute(rows.FINISH, values)
            db.execute(rows.DROP_RUNS, values)

        await self._database.write(job)


def _add(db: sqlite3.Connection, request: ScheduleRequest, now: float) -> Schedule:
    db.execute(rows.DROP_FINISHED, (request.name, now - _KEPT_S))
    found = timing.read(request.when, request.zone, now)
    request = msgspec.structs.replace(request, when=" ".join(request.when.split()))
    if row := _row_of(db, request.name):
        return _same(rows.schedule_of(db, row), request)
    if db.execute("SELECT count(*) FROM schedules").fetchone()[0] >= _MOST:
        raise OcgError(Code.LIMIT, f"there are {_MOST} schedules already", "remove some")
    next_at = found.after(now)
    if next_at is None:
        raise OcgError(Code.INVALID_REQUEST, f"when: {request.when!r} never comes, or is over", "", param="when")
    put(db, "schedules", rows.new_schedule(request, now, next_at))
    return rows.schedule_of(db, _require(db, request.name))


def _same(found: Schedule, asked: ScheduleRequest) -> Schedule:
    """Return what is there when it is what is asked for, and still to come. Raises CONFLICT."""
    given = msgspec.structs.asdict(asked).items()
    if found.next_at is None or any(getattr(found, key) != value for key, value in given):
        raise OcgError(Code.CONFLICT, f"there is a schedule {asked.name!r} already", "remove it, or use another name")
    return found


def _claim(db: sqlite3.Connection, now: float) -> int:
    """Write down runs of what is due, some at a time; return how many schedules were due."""
    sql = f"{rows.SCHEDULES} WHERE is_paused = 0 AND next_at <= ? ORDER BY next_at LIMIT ?"
    found = db.execute(sql, (now, _CLAIMED)).fetchall()
    for row in found:
        try:
            missed, next_at = rows.missed(row, now)
        except OcgError as error:
            _log.error("the schedule %s is paused: %s", row["name"], error)
            db.execute("UPDATE schedules SET is_paused = 1 WHERE name = ?", (row["name"],))
            continue
        if row["running"]:
            sql = "UPDATE schedule_runs SET missed = missed + ? WHERE id = ?"
            db.execute(sql, (missed + 1, row["running"]))
        elif db.execute("SELECT 1 FROM schedule_runs WHERE id = ?", (rows.run_id(row),)).fetchone():
            # The clock was put back, and this ran before; what is due after it may not have.
            next_at = rows.timing_of(row).after(row["next_at"])
        else:
            put(db, "schedule_runs", rows.new_run(row, now, missed=missed))
        db.execute("UPDATE schedules SET next_at = ? WHERE name = ?", (next_at, row["name"]))
    return len(found)


def _require(db: sqlite3.Connection, name: str) -> sqlite3.Row:
    row = _row_of(db, name)
    if row is None:
        raise _unknown(name)
    return row


def _row_of(db: sqlite3.Connection, name: str) -> sqlite3.Row | None:
    row: sqlite3.Row | None = db.execute(f"{rows.SCHEDULES} WHERE name = ?", (name,)).fetchone()
    return row


def _unknown(name: str) -> OcgError:
    return OcgError(Code.NOT_FOUND, f"no schedule {name!r}", "ocg schedule list shows them")
