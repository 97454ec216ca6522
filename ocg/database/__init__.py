"""SQLite as both stores need it: a thread of its own, WAL, commits that are on the disk, migrations forward only."""

from ocg.database.connection import Database

__all__ = ["Database"]
