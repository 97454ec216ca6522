"""The outbox: what a channel is to deliver, until it says that it has, or until that is worth nothing.

An answer enters it in the transaction that ends its turn, and a message of the tool `message` once for its call.
Whoever takes it has it for a minute; unless it is settled by then, it is due again: an answer may come twice when a
channel dies between sending and settling, and never not at all.
"""

import asyncio
import logging
import sqlite3
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress

import msgspec

from ocg.agent import addresses
from ocg.agent.rows import Turn, put, turn_of
from ocg.database import Database
from ocg.errors import Code, OcgError
from ocg.protocol.channels import Channel
from ocg.protocol.messages import Delivery, Message, ReplyTo, TurnError

_log = logging.getLogger(__name__)

_LEASE_S = 60.0
_BATCH = 20
_RETRY_S = (1.0, 5.0, 15.0, 60.0, 300.0)
_DUE = """
    SELECT deliveries.*, turns.session_id, turns.message_id FROM deliveries JOIN turns ON turns.id = deliveries.turn_id
    WHERE channel = ? AND due_at <= ? AND expires_at > ? ORDER BY deliveries.seq LIMIT ?
"""


class Deliveries:
    """The answers that wait."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._news = asyncio.Event()

    def wake(self) -> None:
        """A turn has ended: there may be something new."""
        self._news.set()
        self._news = asyncio.Event()

    async def take(self, channel: str, *, wait_s: float) -> tuple[Delivery, ...]:
        """Return what is due for a channel, oldest first; without any, wait for the first for so long."""
        until_s = time.monotonic() + wait_s
        while True:
            news = self._news
            found, next_s = await self._database.write(lambda db: _take(db, channel))
            left_s = min(until_s - time.monotonic(), next_s)
            if found or until_s - time.monotonic() <= 0:
                return found
            with suppress(TimeoutError):
                async with asyncio.timeout(max(left_s, 0.0)):
                    await news.wait()

    async def send(self, turn: Turn, call_id: str, text: str, to: tuple[str, str]) -> ReplyTo:
        """Put a message into it, once for a call, and return where it goes: a channel and an address, as far as given.

        Raises NOT_FOUND for what is not known, naming what is.
        """

        def job(db: sqlite3.Connection) -> ReplyTo:
            found = addresses.find(db, turn, *to)
            sql = "INSERT INTO sent (turn_id, call_id) VALUES (?, ?) ON CONFLICT DO NOTHING"
            if db.execute(sql, (turn.id, call_id)).rowcount:
                put(db, "deliveries", _new(turn, found, text))
            return found

        found = await self._database.write(job)
        self.wake()
        return found

    async def waiting(self) -> int:
        """How many there are."""
        sql = "SELECT count(*) FROM deliveries"
        return await self._database.read(lambda db: int(db.execute(sql).fetchone()[0]))

    async def channels(self) -> tuple[Channel, ...]:
        """List the channels that answers wait for, by name."""
        return await self._database.read(_channels)

    async def settle(self, delivery_id: str) -> None:
        """It was delivered. Raises NOT_FOUND when it is not there, or was settled before."""
        await self._database.write(lambda db: _settle(db, delivery_id))

    async def fail(self, delivery_id: str, *, again_after_s: float | None) -> None:
        """It could not be delivered: it is due again later. Raises NOT_FOUND."""
        await self._database.write(lambda db: _fail(db, delivery_id, again_after_s))
        self.wake()


def add(db: sqlite3.Connection, turn: Turn, steps: Sequence[Message]) -> None:
    """Put a turn's answer into the outbox, once for each address that waits for it: its own, and who joined."""
    sql = "SELECT * FROM turns WHERE (id = ? OR joined = ?) AND reply_to IS NOT NULL ORDER BY seq"
    waiting = [turn_of(row) for row in db.execute(sql, (turn.id, turn.id))]
    texts = [step.content for step in steps if step.role == "assistant" and step.content]
    error = msgspec.json.encode(turn.error).decode() if turn.error else None
    seen: set[tuple[str, str]] = set()
    for one in waiting:
        reply_to = one.reply_to
        if reply_to is None or (reply_to.channel, reply_to.address) in seen:
            continue
        seen.add((reply_to.channel, reply_to.address))
        put(db, "deliveries", _new(one, reply_to, texts[-1] if texts else "", error))


def _new(turn: Turn, to: ReplyTo, text: str, error: str | None = None) -> dict[str, object]:
    now = time.time()
    return {
        "id": uuid.uuid4().hex,
        "turn_id": turn.id,
        "channel": to.channel,
        "address": to.address,
        "text": text,
        "error": error,
        "due_at": now,
        "created_at": now,
        "expires_at": now + to.expires_s,
    }


def _take(db: sqlite3.Connection, channel: str) -> tuple[tuple[Delivery, ...], float]:
    """Lease what is due; return it, and in how many seconds the next will be."""
    now = time.time()
    _expire(db, now)
    found = tuple(_delivery(row) for row in db.execute(_DUE, (channel, now, now, _BATCH)))
    sql = "UPDATE deliveries SET due_at = ?, attempts = attempts + 1 WHERE id = ?"
    db.executemany(sql, [(now + _LEASE_S, one.id) for one in found])
    (soonest,) = db.execute("SELECT min(due_at) FROM deliveries WHERE channel = ?", (channel,)).fetchone()
    return found, (soonest - now if soonest is not None else _LEASE_S)


def _channels(db: sqlite3.Connection) -> tuple[Channel, ...]:
    sql = (
        "SELECT channel, count(*) AS waiting, min(created_at) AS oldest_at FROM deliveries WHERE expires_at > ?"
        " GROUP BY channel ORDER BY channel"
    )
    found = db.execute(sql, (time.time(),))
    return tuple(Channel(name=name, waiting=waiting, oldest_at=oldest_at) for name, waiting, oldest_at in found)


def _expire(db: sqlite3.Connection, now: float) -> None:
    """Nothing that is hours old is sent after a restart."""
    for row in db.execute("DELETE FROM deliveries WHERE expires_at <= ? RETURNING *", (now,)).fetchall():
        _log.warning("the answer of turn %s to %s was not delivered in time", row["turn_id"], row["channel"])


def _settle(db: sqlite3.Connection, delivery_id: str) -> None:
    if not db.execute("DELETE FROM deliveries WHERE id = ?", (delivery_id,)).rowcount:
        raise _no_delivery(delivery_id)


def _fail(db: sqlite3.Connection, delivery_id: str, again_after_s: float | None) -> None:
    row = db.execute("SELECT attempts FROM deliveries WHERE id = ?", (delivery_id,)).fetchone()
    if row is None:
        raise _no_delivery(delivery_id)
    if again_after_s is None:
        again_after_s = _RETRY_S[min(max(row["attempts"], 1), len(_RETRY_S)) - 1]
    db.execute("UPDATE deliveries SET due_at = ? WHERE id = ?", (time.time() + again_after_s, delivery_id))


def _delivery(row: sqlite3.Row) -> Delivery:
    keys = ("id", "turn_id", "session_id", "message_id", "channel", "address", "text", "attempts", "created_at")
    error = msgspec.json.decode(row["error"], type=TurnError) if row["error"] else None
    return Delivery(**{key: row[key] for key in keys}, expires_at=row["expires_at"], error=error)


def _no_delivery(delivery_id: str) -> OcgError:
    return OcgError(Code.NOT_FOUND, f"no delivery {delivery_id!r}", "it was settled, or it expired")
