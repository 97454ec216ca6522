"""Responses of OpenAI's Responses API on disk, for as long as somebody may go on from them."""

import sqlite3
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from ocg.database import Database
from ocg.errors import Code, OcgError
from ocg.protocol import wire
from ocg.protocol.responses import Chain, KeptItem, KeptResponse, Link
from ocg.protocol.struct import Struct

_PUT = """
    INSERT INTO responses (id, previous_id, owner, head, input, output, bytes, used_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING
"""
_PUT_ITEM = "INSERT INTO response_items (id, response) VALUES (?, ?) ON CONFLICT (id) DO NOTHING"
# Whoever goes on from a response uses all that came before it, so that a conversation is dropped as a whole.
_USE = "UPDATE responses SET used_at = ? WHERE id = ? AND used_at < ?"
_USED_EVERY_S = 3600.0
_HELD = "SELECT owner, count(*) AS number, sum(bytes) AS bytes FROM responses GROUP BY owner"
_OLDEST = "SELECT seq, bytes FROM responses WHERE owner = ? ORDER BY used_at, seq LIMIT 1"


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long responses are kept after their last use, and how many; how long a conversation of them may be."""

    kept_s: float = 30 * 86400.0
    bytes: int = 256 << 20
    number: int = 10_000
    chain: int = 1000
    chain_bytes: int = 16 << 20  # as a request, which it becomes


class _Item(Struct, frozen=True):
    """What there is to know of an item here."""

    id: str


class Responses:
    """The part of agent.db that has them."""

    def __init__(self, database: Database, bounds: Bounds | None = None) -> None:
        self._database = database
        self._bounds = bounds or Bounds()

    async def keep(self, response_id: str, response: KeptResponse) -> None:
        """Put one on the disk, once. Those that nobody used for long go.

        Of too many, or too much, whoever has the most loses what they used longest ago: nobody crowds out others.
        """
        parts = [bytes(part) for part in (response.head, response.input, response.output)]
        row = (response_id, response.previous_id, response.owner, *parts, sum(map(len, parts)), time.time())
        items = [(item.id, response_id) for item in wire.decode(tuple[_Item, ...], response.output)]

        def job(db: sqlite3.Connection) -> None:
            db.execute(_PUT, row)
            db.executemany(_PUT_ITEM, items)
            _drop(db, self._bounds)

        await self._database.write(job)

    async def get(self, response_id: str) -> KeptResponse:
        """Return one. Raises NOT_FOUND."""
        row = await self._database.read(lambda db: _row_of(db, response_id))
        if row is None:
            raise _no_response(response_id)
        return KeptResponse(
            previous_id=row["previous_id"],
            owner=row["owner"],
            head=msgspec.Raw(row["head"]),
            input=msgspec.Raw(row["input"]),
            output=msgspec.Raw(row["output"]),
        )

    async def chain(self, response_id: str) -> Chain:
        """Return the conversation that ends with one; all of it is used by that.

        Raises PREVIOUS_UNKNOWN when a part of it is not kept, TOO_LARGE when it is too long.
        """
        return await self._database.write(lambda db: _chain(db, response_id, self._bounds))

    async def items(self, ids: Sequence[str]) -> tuple[KeptItem, ...]:
        """Return those of these items that are kept; their responses are used by that. Raises TOO_LARGE."""
        return await self._database.write(lambda db: _items(db, ids, self._bounds))

    async def delete(self, response_id: str) -> None:
        """Delete one for good. Raises NOT_FOUND."""
        sql = "DELETE FROM responses WHERE id = ?"
        if not await self._database.write(lambda db: db.execute(sql, (response_id,)).rowcount):
            raise _no_response(response_id)


def _drop(db: sqlite3.Connection, bounds: Bounds) -> None:
    db.execute("DELETE FROM responses WHERE used_at < ?", (time.time() - bounds.kept_s,))
    numbers, sizes = Counter[str](), Counter[str]()
    for row in db.execute(_HELD):
        numbers[row["owner"]], sizes[row["owner"]] = row["number"], row["bytes"]
    while held := _too_much(numbers, sizes, bounds):
        ((owner, _),) = held.most_common(1)
        row = db.execute(_OLDEST, (owner,)).fetchone()
        db.execute("DELETE FROM responses WHERE seq = ?", (row["seq"],))
        numbers[owner] -= 1
        sizes[owner] -= row["bytes"]


def _too_much(numbers: Counter[str], sizes: Counter[str], bounds: Bounds) -> Counter[str] | None:
    """Return by owner what there is too much of."""
    if numbers.total() > bounds.number:
        return numbers
    return sizes if sizes.total() > bounds.bytes else None


def _chain(db: sqlite3.Connection, response_id: str, bounds: Bounds) -> Chain:
    rows: list[sqlite3.Row] = []
    wanted, size = response_id, 0
    while wanted:
        row = _row_of(db, wanted)
        if row is None:
            raise _unknown(response_id, wanted)
        size += row["bytes"]
        if len(rows) >= bounds.chain or size > bounds.chain_bytes:
            why = f"the conversation up to {response_id!r} is too long"
            raise OcgError(Code.TOO_LARGE, why, "begin a new one, without previous_response_id")
        rows.append(row)
        wanted = row["previous_id"]
    _use(db, [row["id"] for row in rows])
    links = [Link(input=msgspec.Raw(row["input"]), output=msgspec.Raw(row["output"])) for row in reversed(rows)]
    return Chain(owner=rows[0]["owner"], links=tuple(links))


def _items(db: sqlite3.Connection, ids: Sequence[str], bounds: Bounds) -> tuple[KeptItem, ...]:
    named: dict[str, set[str]] = {}
    for item_id in ids:
        if row := db.execute("SELECT response FROM response_items WHERE id = ?", (item_id,)).fetchone():
            named.setdefault(row["response"], set()).add(item_id)
    found: list[KeptItem] = []
    for response_id, wanted in named.items():
        row = db.execute("SELECT owner, output FROM responses WHERE id = ?", (response_id,)).fetchone()
        output = [(wire.decode(_Item, raw).id, raw) for raw in wire.decode(tuple[msgspec.Raw, ...], row["output"])]
        found += [KeptItem(id=one, owner=row["owner"], item=raw) for one, raw in output if one in wanted]
        if sum(len(bytes(one.item)) for one in found) > bounds.chain_bytes:
            raise OcgError(Code.TOO_LARGE, "the items that are named are too large", "name fewer at once")
    _use(db, list(named))
    return tuple(found)


def _use(db: sqlite3.Connection, ids: Sequence[str]) -> None:
    now = time.time()
    db.executemany(_USE, [(now, response_id, now - _USED_EVERY_S) for response_id in ids])


def _row_of(db: sqlite3.Connection, response_id: str) -> sqlite3.Row | None:
    row: sqlite3.Row | None = db.execute("SELECT * FROM responses WHERE id = ?", (response_id,)).fetchone()
    return row


def _no_response(response_id: str) -> OcgError:
    return OcgError(Code.NOT_FOUND, f"no response {response_id!r} is kept", "it was deleted, too old, or store: false")


def _unknown(response_id: str, missing: str) -> OcgError:
    why = f"previous response {response_id!r} is not kept"
    if missing != response_id:
        why = f"previous response {response_id!r} goes on from {missing!r}, which is not kept"
    hint = "it was deleted, too old, or store: false; send the whole conversation"
    return OcgError(Code.PREVIOUS_UNKNOWN, why, hint, param="previous_response_id")
