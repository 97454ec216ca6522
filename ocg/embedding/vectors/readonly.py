"""Connections to vectors.db that only read, for the threads that must not wait for the one that writes."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

_BUSY_TIMEOUT_S = 5.0


def connect(path: Path) -> sqlite3.Connection:
    """Open a connection."""
    uri = f"{path.absolute().as_uri()}?mode=ro"
    db = sqlite3.connect(uri, uri=True, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    db.row_factory = sqlite3.Row
    return db


@contextmanager
def connected(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a connection, and close it at the block's end."""
    with closing(connect(path)) as db:
        yield db


def data_version(db: sqlite3.Connection) -> int:
    """Return a number that changes when another connection has written (sqlite.org/pragma.html#pragma_data_version)."""
    return int(db.execute("PRAGMA data_version").fetchone()[0])
