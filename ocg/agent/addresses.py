"""Where messages may be sent: where the owner has spoken from, and where schedules deliver."""

import sqlite3
from collections.abc import Iterator

import msgspec

from ocg.agent.rows import Turn
from ocg.errors import Code, OcgError
from ocg.protocol.messages import ReplyTo

_MOST = 100
_NAMED = 20
_KNOWN = """
    SELECT reply_to FROM (
        SELECT reply_to, max(created_at) AS at FROM turns
        WHERE reply_to IS NOT NULL AND is_owners AND NOT is_stranger GROUP BY reply_to
        UNION ALL SELECT reply_to, created_at FROM schedules WHERE reply_to IS NOT NULL
    ) ORDER BY at DESC LIMIT ?
"""
_LATEST = """
    SELECT reply_to FROM turns
    WHERE session_id = ? AND reply_to IS NOT NULL AND is_owners AND NOT is_stranger ORDER BY seq DESC LIMIT 1
"""


def find(db: sqlite3.Connection, turn: Turn, channel: str, address: str) -> ReplyTo:
    """Return the address that is meant: where a part is left out, that of this conversation, or else the latest.

    Raises NOT_FOUND, naming those there are.
    """
    for one in _candidates(db, turn):
        if channel in {"", one.channel} and address in {"", one.address}:
            return one
    known = dict.fromkeys(f"{one.channel} {one.address}" for one in _known(db))
    named = "; ".join(list(known)[:_NAMED])
    hint = f"those known are: {named}" if named else "none is known before the owner has written from one"
    raise OcgError(Code.NOT_FOUND, f"no known address {address[:200]!r} in the channel {channel[:128]!r}", hint)


def _candidates(db: sqlite3.Connection, turn: Turn) -> Iterator[ReplyTo]:
    """Give those of this conversation, then all, the newest first."""
    if turn.reply_to is not None:
        yield turn.reply_to
    yield from map(_read, db.execute(_LATEST, (turn.conversation,)))
    yield from _known(db)


def _known(db: sqlite3.Connection) -> Iterator[ReplyTo]:
    return map(_read, db.execute(_KNOWN, (_MOST,)))


def _read(row: sqlite3.Row) -> ReplyTo:
    return msgspec.json.decode(row["reply_to"], type=ReplyTo)
