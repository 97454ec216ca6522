"""One file, one connection, one thread; and what SQLite raises, said so that a user knows what to do."""

import errno
import os
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self, TypeVar

from ocg.database.migration import migrate, refuse_newer
from ocg.errors import Code, OcgError
from ocg.lifecycle.worker import Worker

T = TypeVar("T")

_BUSY_TIMEOUT_S = 5.0
_PRAGMAS = ("journal_mode=WAL", "foreign_keys=ON", "temp_store=MEMORY")


class Database:
    """One file, one connection, one thread; jobs run in order and a write is one transaction."""

    def __init__(self, worker: Worker, connection: sqlite3.Connection, path: Path) -> None:
        self.worker = worker
        self._connection = connection
        self._path = path

    @classmethod
    async def open(cls, path: Path, migrations: Sequence[str], *, durable: bool = True) -> Self:
        """Open or make a database (mode 0600). Migration n brings `user_version` from n to n+1.

        One that is not durable, since it can be made anew, waits for no disk and may be damaged by a power cut.

        Raises DATA_NEWER when a later OCG wrote it (nothing is changed), DATA_DAMAGED when SQLite cannot read it,
        DISK_FULL when there is no room for the copy that is made before a migration (nothing is changed).
        """
        worker = Worker(path.stem)
        try:
            connection = await worker.run(lambda: _guarded(path, lambda: _connect(path, migrations, durable=durable)))
        except BaseException:
            await worker.close()
            raise
        return cls(worker, connection, path)

    async def read(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """Run a job that only reads."""
        return await self.worker.run(lambda: _guarded(self._path, lambda: job(self._connection)))

    async def write(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """Run a job as one transaction; when this returns, what it wrote survives a power cut."""
        return await self.worker.run(lambda: _guarded(self._path, lambda: _transact(self._connection, job)))

    async def close(self) -> None:
        """Do what is queued and close."""
        await self.worker.run(self._connection.close)
        await self.worker.close()


def _connect(path: Path, migrations: Sequence[str], *, durable: bool) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    refuse_newer(path, len(migrations))
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    connection = sqlite3.connect(path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    try:
        connection.row_factory = sqlite3.Row
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")
        # FULL: a commit is on the disk, not only in the kernel (sqlite.org/pragma.html#pragma_synchronous).
        connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'OFF'}")
        migrate(connection, path, migrations)
    except BaseException:
        connection.close()
        raise
    return connection


def _transact(connection: sqlite3.Connection, job: Callable[[sqlite3.Connection], T]) -> T:
    connection.execute("BEGIN IMMEDIATE")
    try:
        result = job(connection)
    except BaseException:
        if connection.in_transaction:  # a full disk ends it by itself
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
    return result


def _guarded(path: Path, job: Callable[[], T]) -> T:
    """Run a job; what SQLite raises becomes an error that says what to do."""
    try:
        return job()
    except sqlite3.DatabaseError as error:
        raise _explained(path, error) from error
    except OSError as error:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        code = Code.DISK_FULL if full else Code.UNSAFE_PATH
        raise OcgError(code, f"{path}: {error.strerror}", "free some space" if full else "check its owner") from error


def _explained(path: Path, error: sqlite3.DatabaseError) -> OcgError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    match code:
        case sqlite3.SQLITE_FULL:
            return OcgError(
                Code.DISK_FULL, f"no room left to write {path}", "free some space; nothing acknowledged is lost"
            )
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return OcgError(
                Code.DATA_DAMAGED, f"{path} is damaged: {error}", f"restore a copy, or try `sqlite3 {path} .recover`"
            )
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
            return OcgError(Code.UNSAFE_PATH, f"{path} cannot be written: {error}", "check its owner and mode")
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return OcgError(Code.BUSY, f"{path} is locked by another program", "close that program")
    return OcgError(Code.INTERNAL, f"{path}: {error}", "this is a bug in OCG")
