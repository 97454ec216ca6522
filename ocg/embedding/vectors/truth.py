"""What is asked of vectors.db, and what is written to it; each function runs within one transaction."""

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ocg.embedding.vectors.filters import Parameter, matching, typed
from ocg.embedding.vectors.model import Change, Collection, Prepared
from ocg.protocol.vectors import Filter, GetRequest, Hit, Item, Metric

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_VARIABLES = 500  # SQLite takes 32,766 parameters; these many are a statement worth caching
_ADD = "INSERT INTO vectors (collection, id, vector, text, metadata) VALUES (?, ?, ?, ?, ?)"
_REMOVE = "DELETE FROM vectors WHERE collection = ? AND id = ? RETURNING row, metadata"
_REMOVE_ROW = "DELETE FROM vectors WHERE row = ? RETURNING row, metadata"
_ADD_FIELD = "INSERT INTO fields VALUES (?, ?, ?, ?, ?)"
_REMOVE_FIELD = "DELETE FROM fields WHERE collection = ? AND key = ? AND type = ? AND value = ? AND row = ?"


def collections(db: sqlite3.Connection) -> list[Collection]:
    """Return all collections."""
    return [_collection(row) for row in db.execute("SELECT * FROM collections ORDER BY name")]


def find(db: sqlite3.Connection, name: str) -> Collection | None:
    """Return a collection by its name."""
    row = db.execute("SELECT * FROM collections WHERE name = ?", (name,)).fetchone()
    return _collection(row) if row else None


def create(db: sqlite3.Connection, name: str, model: str | None, dim: int, metric: Metric) -> Collection:
    """Make a collection, or return the one of that name as it is."""
    sql = "INSERT INTO collections (name, model, dim, metric, created_at) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
    db.execute(sql, (name, model, dim, metric, time.time()))
    return _collection(db.execute("SELECT * FROM collections WHERE name = ?", (name,)).fetchone())


def drop(db: sqlite3.Connection, collection: Collection) -> int:
    """Delete a collection and all in it; return how many vectors that were."""
    db.execute("DELETE FROM fields WHERE collection = ?", (collection.number,))
    count = db.execute("DELETE FROM vectors WHERE collection = ?", (collection.number,)).rowcount
    db.execute("DELETE FROM collections WHERE number = ?", (collection.number,))
    return count


def upsert(db: sqlite3.Connection, collection: Collection, items: Iterable[Prepared]) -> Change:
    """Put each item in the place of what has its id."""
    change = Change([], [])
    for item in items:
        change.removed.extend(_removed(db, collection, _REMOVE, (collection.number, item.id)))
        change.added.append(_added(db, collection, item))
    return change


def replace(db: sqlite3.Connection, collection: Collection, items: Iterable[tuple[int, Prepared]]) -> Change:
    """Put items in the place of rows; a row that has gone meanwhile stays away, and its item gets no row but 0."""
    change = Change([], [])
    for row, item in items:
        removed = list(_removed(db, collection, _REMOVE_ROW, (row,)))
        change.removed.extend(removed)
        change.added.append(_added(db, collection, item) if removed else 0)
    return change


def delete(db: sqlite3.Connection, collection: Collection, ids: Sequence[str] | None, wanted: Filter) -> Change:
    """Delete by id, by filter, or what is in both."""
    change = Change([], [])
    if ids is not None and not wanted:
        for one in ids:
            change.removed.extend(_removed(db, collection, _REMOVE, (collection.number, one)))
        return change
    for row in select(db, collection, ids, wanted):
        change.removed.extend(_removed(db, collection, _REMOVE_ROW, (row,)))
    return change


def select(db: sqlite3.Connection, collection: Collection, ids: Sequence[str] | None, wanted: Filter) -> list[int]:
    """Return rows in their order: of these ids, of what the filter lets through, or what is in both."""
    sql, parameters = _all_of(collection)
    among = None if ids is None else _rows_of(db, collection, ids)
    if wanted:
        sql, parameters = matching(collection.number, wanted)
    elif among is not None:
        return sorted(among)
    rows = sorted(row[0] for row in db.execute(sql, parameters))
    return rows if among is None else [row for row in rows if row in among]


def count(db: sqlite3.Connection, collection: Collection, wanted: Filter) -> int:
    """Count all, or what a filter lets through."""
    sql, parameters = _all_of(collection)
    if wanted:
        sql, parameters = matching(collection.number, wanted)
    return int(db.execute(f"SELECT count(*) FROM ({sql})", parameters).fetchone()[0])


def counts(db: sqlite3.Connection) -> dict[int, int]:
    """Count the vectors of every collection."""
    return {row[0]: row[1] for row in db.execute("SELECT collection, count(*) FROM vectors GROUP BY collection")}


def get(db: sqlite3.Connection, collection: Collection, asked: GetRequest) -> list[Item]:
    """Read what is kept."""
    rows = select(db, collection, asked.ids, asked.filter)[: asked.limit]
    columns = "row, id, text, metadata" + (", vector" if asked.vectors else "")
    return [
        Item(
            id=row["id"],
            text=row["text"],
            metadata=json.loads(row["metadata"]),
            vector=_numbers(row["vector"]) if asked.vectors else None,
        )
        for row in _by_row(db, columns, rows)
    ]


def hits(db: sqlite3.Connection, found: Sequence[tuple[int, float]]) -> list[Hit]:
    """Add ids, texts and metadata; a row deleted since the search is left out."""
    scores = dict(found)
    return [
        Hit(id=row["id"], score=scores[row["row"]], metadata=json.loads(row["metadata"]), text=row["text"])
        for row in _by_row(db, "row, id, text, metadata", list(scores))
    ]


def rows(db: sqlite3.Connection, sql: str, parameters: Sequence[Parameter]) -> "NDArray[np.int64]":
    """Return the rows of a SELECT of rows, in no order that could be relied on."""
    import numpy as np  # noqa: PLC0415 - llama_cpp has it imported

    # Made a text by SQLite and numbers by numpy, 50,000 rows take 15 ms; one by one they take 50.
    (text,) = db.execute(f"SELECT group_concat(row) FROM ({sql})", parameters).fetchone()
    return np.fromstring(text or "", np.int64, sep=",")


def live_rows(db: sqlite3.Connection, collection: Collection) -> "NDArray[np.int64]":
    """Return the rows that are to be searched, in their order."""
    sql = "SELECT row FROM vectors WHERE collection = ? AND row > ?"
    found = rows(db, sql, (collection.number, collection.since))
    found.sort()
    return found


def blobs(
    db: sqlite3.Connection, collection: Collection, after: int, *, until: int, size: int
) -> "Iterator[tuple[list[int], bytes]]":
    """Give the vectors of the rows above `after` and up to `until`, `size` at a time, each being a read of its own."""
    sql = "SELECT row, vector FROM vectors WHERE collection = ? AND row > ? AND row <= ? ORDER BY row LIMIT ?"
    while found := db.execute(sql, (collection.number, after, until, size)).fetchall():
        yield [row[0] for row in found], b"".join(row[1] for row in found)
        after = found[-1][0]


def highest_row(db: sqlite3.Connection) -> int:
    """Return the highest row number that was ever given out."""
    row = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'vectors'").fetchone()
    return int(row[0]) if row else 0


def has_stale(db: sqlite3.Connection, collection: Collection) -> bool:
    """Whether some vectors are another model's."""
    sql = "SELECT 1 FROM vectors WHERE collection = ? AND row <= ? LIMIT 1"
    return bool(collection.since) and db.execute(sql, (collection.number, collection.since)).fetchone() is not None


def stale(db: sqlite3.Connection, collection: Collection) -> tuple[int, int]:
    """Count the vectors of another model, and those among them that have no text."""
    sql = "SELECT count(*) FROM vectors WHERE collection = ? AND row <= ?"
    limits = (collection.number, collection.since)
    (every,) = db.execute(sql, limits).fetchone()
    (silent,) = db.execute(f"{sql} AND text IS NULL", limits).fetchone()
    return every, silent


def _collection(row: sqlite3.Row) -> Collection:
    return Collection(**(dict(row) | {"reindexing": bool(row["reindexing"])}))


def _added(db: sqlite3.Connection, collection: Collection, item: Prepared) -> int:
    made = db.execute(_ADD, (collection.number, item.id, item.made.tobytes(), item.text, item.metadata))
    row = made.lastrowid or 0
    if item.fields:
        db.executemany(_ADD_FIELD, [(collection.number, *field, row) for field in item.fields])
    return row


def _removed(db: sqlite3.Connection, collection: Collection, sql: str, parameters: tuple[Any, ...]) -> Iterator[int]:
    for row, metadata in db.execute(sql, parameters).fetchall():
        if metadata != "{}":
            fields = [(key, *typed(key, value, "metadata")) for key, value in json.loads(metadata).items()]
            db.executemany(_REMOVE_FIELD, [(collection.number, *field, row) for field in fields])
        yield row


def _rows_of(db: sqlite3.Connection, collection: Collection, ids: Sequence[str]) -> set[int]:
    found: set[int] = set()
    for at in range(0, len(ids), _VARIABLES):
        part = ids[at : at + _VARIABLES]
        sql = f"SELECT row FROM vectors WHERE collection = ? AND id IN ({_marks(part)})"
        found |= {row[0] for row in db.execute(sql, (collection.number, *part))}
    return found


def _by_row(db: sqlite3.Connection, columns: str, wanted: Sequence[int]) -> list[sqlite3.Row]:
    """Return what lies in these rows, in this order; a row that is not there is left out."""
    known: dict[int, sqlite3.Row] = {}
    for at in range(0, len(wanted), _VARIABLES):
        part = wanted[at : at + _VARIABLES]
        known |= {
            row["row"]: row for row in db.execute(f"SELECT {columns} FROM vectors WHERE row IN ({_marks(part)})", part)
        }
    return [known[row] for row in wanted if row in known]


def _all_of(collection: Collection) -> tuple[str, list[Parameter]]:
    return "SELECT row FROM vectors WHERE collection = ?", [collection.number]


def _marks(part: Sequence[object]) -> str:
    return ",".join("?" * len(part))


def _numbers(blob: bytes) -> list[float]:
    import numpy as np  # noqa: PLC0415 - as above

    numbers: list[float] = np.frombuffer(blob, "<f4").tolist()
    return numbers
