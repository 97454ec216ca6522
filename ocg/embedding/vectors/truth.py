"""What is asked of vectors.db, and what is written to it; each function runs within one transaction."""

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from ocg.embedding.vectors.filters import Parameter, matching, typed
from ocg.embedding.vectors.model import Change, Collection, Prepared
from ocg.protocol.vectors import Filter, GetRequest, Hit, Item, Metric

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_VARIABLES = 500  # SQLite takes 32,766 parameters; these many are a statement worth caching
_ADD = "INSERT INTO vectors (row, collection, id, vector, text, metadata) VALUES (?, ?, ?, ?, ?, ?)"
_BY_ROW = "SELECT row, metadata FROM vectors WHERE row IN ({marks})"
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


def upsert(db: sqlite3.Connection, collection: Collection, items: Sequence[Prepared]) -> Change:
    """Put each item in the place of what has its id; no id may stand there twice."""
    sql = "SELECT row, metadata FROM vectors WHERE collection = ? AND id IN ({marks})"
    removed = _remove(db, collection, _among(db, sql, (collection.number,), [one.id for one in items]))
    return Change(_add(db, collection, items), removed)


def replace(db: sqlite3.Connection, collection: Collection, items: Sequence[tuple[int, Prepared]]) -> Change:
    """Put items in the place of rows; a row that has gone meanwhile stays away, and its item gets no row but 0."""
    removed = _remove(db, collection, _among(db, _BY_ROW, (), [row for row, _ in items]))
    there = set(removed)
    added = iter(_add(db, collection, [item for row, item in items if row in there]))
    return Change([next(added) if row in there else 0 for row, _ in items], removed)


def delete(db: sqlite3.Connection, collection: Collection, ids: Sequence[str] | None, wanted: Filter) -> Change:
    """Delete by id, by filter, or what is in both."""
    found = select(db, collection, ids, wanted)
    return Change([], _remove(db, collection, _among(db, _BY_ROW, (), found)))


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


def _add(db: sqlite3.Connection, collection: Collection, items: Sequence[Prepared]) -> list[int]:
    """Add items in rows whose numbers were never used: all in one call, which takes half the time of one for each."""
    first = highest_row(db) + 1
    number, numbers = collection.number, list(range(first, first + len(items)))
    numbered = list(zip(numbers, items, strict=True))
    db.executemany(_ADD, [(row, number, one.id, one.made.tobytes(), one.text, one.metadata) for row, one in numbered])
    db.executemany(_ADD_FIELD, [(number, *field, row) for row, one in numbered for field in one.fields])
    return numbers


def _remove(db: sqlite3.Connection, collection: Collection, found: Iterable[sqlite3.Row]) -> list[int]:
    """Delete rows with their fields, and return their numbers."""
    removed, fields = [], []
    for row, metadata in found:
        removed.append(row)
        if metadata != "{}":
            pairs = json.loads(metadata).items()
            fields += [(collection.number, key, *typed(key, value, "metadata"), row) for key, value in pairs]
    db.executemany("DELETE FROM vectors WHERE row = ?", [(row,) for row in removed])
    db.executemany(_REMOVE_FIELD, fields)
    return removed


def _rows_of(db: sqlite3.Connection, collection: Collection, ids: Sequence[str]) -> set[int]:
    sql = "SELECT row FROM vectors WHERE collection = ? AND id IN ({marks})"
    return {row[0] for row in _among(db, sql, (collection.number,), ids)}


def _by_row(db: sqlite3.Connection, columns: str, wanted: Sequence[int]) -> list[sqlite3.Row]:
    """Return what lies in these rows, in this order; a row that is not there is left out."""
    sql = f"SELECT {columns} FROM vectors WHERE row IN ({{marks}})"
    known: dict[int, sqlite3.Row] = {row["row"]: row for row in _among(db, sql, (), wanted)}
    return [known[row] for row in wanted if row in known]


def _among(
    db: sqlite3.Connection, sql: str, parameters: tuple[Parameter, ...], wanted: Sequence[Parameter]
) -> list[sqlite3.Row]:
    """Return what a SELECT with `IN ({marks})` finds for all that is wanted, some at a time."""
    found: list[sqlite3.Row] = []
    for at in range(0, len(wanted), _VARIABLES):
        part = wanted[at : at + _VARIABLES]
        found += db.execute(sql.format(marks=",".join("?" * len(part))), (*parameters, *part)).fetchall()
    return found


def _all_of(collection: Collection) -> tuple[str, list[Parameter]]:
    return "SELECT row FROM vectors WHERE collection = ?", [collection.number]


def _numbers(blob: bytes) -> list[float]:
    import numpy as np  # noqa: PLC0415 - as above

    numbers: list[float] = np.frombuffer(blob, "<f4").tolist()
    return numbers
