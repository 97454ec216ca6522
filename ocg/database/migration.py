"""Bringing a database forward, with a copy of what it was beside it; a newer OCG's is not touched at all."""

import logging
import os
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from ocg.errors import Code, OcgError

_log = logging.getLogger(__name__)
# The header has the version (sqlite.org/fileformat.html#the_database_header); a page has 64 KiB at the most.
_MAX_PAGE_BYTES = 65536


def backup_of(path: Path, version: int) -> Path:
    """Where the copy of a database lies that was made when it left that version."""
    return path.with_name(f"{path.name}.schema-{version}")


def refuse_newer(path: Path, known: int) -> None:
    """Raise DATA_NEWER when a later OCG than this one, which knows versions up to `known`, wrote the database.

    It leaves no trace, not even a lock or a -shm file.
    """
    version = _version(path) if path.exists() else 0
    if version <= known:
        return
    kept = [copy for number in range(known, 0, -1) if (copy := backup_of(path, number)).exists()]
    hint = "install the newer OCG again"
    if kept:  # a log that stayed would be applied to what takes the database's place
        hint += f", or go back to what was there before it: rm -f {path}-wal {path}-shm && mv {kept[0]} {path}"
    raise OcgError(
        Code.DATA_NEWER,
        f"{path} was written by a newer OCG (schema {version}, this one knows {known}); nothing was changed",
        hint,
    )


def _version(path: Path) -> int:
    """Read the schema's version from a database that nobody else writes."""
    wal = path.with_name(f"{path.name}-wal")
    if not wal.exists() or not wal.stat().st_size:
        return _asked(path, "immutable=1")  # which takes no lock and makes no file
    # The last word is in the log that a crash left, and even a reader would make or change a -shm file there.
    from tempfile import TemporaryDirectory  # noqa: PLC0415 - 10 ms, after a crash alone

    with TemporaryDirectory(prefix="ocg-") as folder:
        copy = Path(folder, path.name)
        with path.open("rb") as stream:
            copy.write_bytes(stream.read(_MAX_PAGE_BYTES))
        os.truncate(copy, path.stat().st_size)  # a hole where the other pages are
        shutil.copyfile(wal, copy.with_name(wal.name))
        return _asked(copy, "mode=rw")


def _asked(path: Path, how: str) -> int:
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True)) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        return int(version)


def migrate(connection: sqlite3.Connection, path: Path, migrations: Sequence[str]) -> None:
    """Bring `user_version` forward, migration n from n to n+1, all in one transaction; first copy what is there.

    Raises DISK_FULL when there is no room for the copy; then, and when a migration fails, the old version stays.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version >= len(migrations):
        return
    if version:
        _back_up(connection, path, backup_of(path, version))
    script = ";".join((*migrations[version:], f"PRAGMA user_version = {len(migrations)}"))
    connection.executescript(f"BEGIN IMMEDIATE; {script}; COMMIT")
    if version:
        kept = backup_of(path, version)
        _log.info("%s went from schema %d to %d; what it was is kept in %s", path, version, len(migrations), kept)


def _back_up(connection: sqlite3.Connection, path: Path, target: Path) -> None:
    """Copy the database as it is; a copy that is there already is replaced once the new one is on the disk."""
    _need_space(connection, path)
    beside = target.with_name(f".{target.name}.new")
    beside.unlink(missing_ok=True)  # a crash left it
    os.close(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    try:
        with closing(sqlite3.connect(beside)) as copy:
            connection.backup(copy)
        _sync(beside)
    except BaseException:
        beside.unlink()
        raise
    os.replace(beside, target)
    _sync(path.parent)


def _need_space(connection: sqlite3.Connection, path: Path) -> None:
    """Raise DISK_FULL unless the disk has room for a copy."""
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
    need, free = pages * page_bytes, shutil.disk_usage(path.parent).free
    if free < need:
        raise OcgError(
            Code.DISK_FULL,
            f"{path} is copied before it is brought forward: {need >> 20} MiB are needed and {free >> 20} MiB are free",
            "free some space; nothing was changed",
        )


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
