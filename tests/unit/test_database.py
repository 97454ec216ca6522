"""SQLite as the stores need it: durable, migrated forward only, errors that say what to do."""

import errno
import logging
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ocg.database import Database
from ocg.errors import Code, OcgError

_FIRST = "CREATE TABLE t (a INTEGER)"
_SECOND = "ALTER TABLE t ADD COLUMN b TEXT DEFAULT 'new'"
_THIRD = "ALTER TABLE t ADD COLUMN c INTEGER DEFAULT 3"


async def test_what_was_written_is_there_after_reopening(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "d.db", [_FIRST])
    await database.write(lambda c: c.execute("INSERT INTO t VALUES (1)"))
    await database.close()
    database = await Database.open(tmp_path / "d.db", [_FIRST, _SECOND])
    row = await database.read(lambda c: tuple(c.execute("SELECT a, b FROM t").fetchone()))
    await database.close()
    assert row == (1, "new")
    assert stat.S_IMODE((tmp_path / "d.db").stat().st_mode) == 0o600


async def test_a_write_that_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    def half(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO t VALUES (1)")
        raise ValueError("half way")

    database = await Database.open(tmp_path / "d.db", [_FIRST])
    with pytest.raises(ValueError, match="half way"):
        await database.write(half)
    count = await database.read(lambda c: c.execute("SELECT count(*) FROM t").fetchone()[0])
    await database.close()
    assert count == 0


async def test_a_failed_migration_changes_nothing(tmp_path: Path) -> None:
    await (await Database.open(tmp_path / "d.db", [_FIRST])).close()
    with pytest.raises(OcgError):
        await Database.open(tmp_path / "d.db", [_FIRST, "CREATE TABLE u (a); INSERT INTO nowhere VALUES (1)"])
    database = await Database.open(tmp_path / "d.db", [_FIRST])
    tables = await database.read(lambda c: [row[0] for row in c.execute("SELECT name FROM sqlite_master")])
    await database.close()
    assert tables == ["t"]


def _everything_in(folder: Path) -> dict[str, tuple[bytes, os.stat_result]]:
    """Each file with its content, and all that the kernel knows of it but when it was read."""
    found = {path.name: (path.read_bytes(), path.stat()) for path in folder.iterdir()}
    found["."] = b"", folder.stat()
    return {name: (data, _without_atime(status)) for name, (data, status) in found.items()}


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _without_atime(status: os.stat_result) -> os.stat_result:
    return os.stat_result((*status[:7], 0, *status[8:]), {"st_mtime_ns": status.st_mtime_ns})


def _killed(path: Path, script: str) -> None:
    """Change a database in a process that then dies at once, so that the change is in the log alone."""
    code = f"""
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.executescript("PRAGMA journal_mode=WAL; {script}")
os._exit(0)
"""
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)


async def test_an_older_ocg_leaves_a_newer_database_alone(tmp_path: Path) -> None:
    path = tmp_path / "d.db"
    await (await Database.open(path, [_FIRST, _SECOND])).close()
    before = _everything_in(tmp_path)
    with pytest.raises(OcgError) as caught:
        await Database.open(path, [_FIRST])
    assert caught.value.code is Code.DATA_NEWER
    assert caught.value.hint == "install the newer OCG again"
    assert _everything_in(tmp_path) == before


@pytest.mark.parametrize("has_index", [True, False])
async def test_nor_does_it_touch_one_that_a_crash_left(tmp_path: Path, *, has_index: bool) -> None:
    path = tmp_path / "d.db"
    await (await Database.open(path, [_FIRST])).close()
    _killed(path, "PRAGMA user_version=2; INSERT INTO t VALUES (1)")
    assert path.read_bytes()[60:64] == b"\0\0\0\1", "the log alone says 2"
    if not has_index:
        (tmp_path / "d.db-shm").unlink()
    before = _everything_in(tmp_path)
    with pytest.raises(OcgError, match="schema 2, this one knows 1"):
        await Database.open(path, [_FIRST])
    assert _everything_in(tmp_path) == before


async def test_what_a_crash_left_is_not_taken_for_a_newer_one(tmp_path: Path) -> None:
    path = tmp_path / "d.db"
    await (await Database.open(path, [_FIRST])).close()
    _killed(path, "INSERT INTO t VALUES (1)")
    database = await Database.open(path, [_FIRST, _SECOND])
    assert await database.read(lambda c: c.execute("SELECT count(*) FROM t").fetchone()[0]) == 1
    await database.close()
    assert _rows(tmp_path / "d.db.schema-1") == [(1,)], "the copy has what was in the log alone"


def _shell(command: str) -> None:
    subprocess.run(["sh", "-c", command], check=True)


def _rows(path: Path) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT * FROM t").fetchall()


async def _filled(path: Path) -> None:
    database = await Database.open(path, [_FIRST])
    await database.write(lambda c: c.execute("INSERT INTO t VALUES (1)"))
    await database.close()


async def test_a_migration_leaves_a_copy_of_what_was_and_says_where(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, copy = tmp_path / "d.db", tmp_path / "d.db.schema-1"
    await _filled(path)
    assert not copy.exists(), "a new database has nothing to keep"
    with caplog.at_level(logging.INFO, "ocg.database"):
        await (await Database.open(path, [_FIRST, _SECOND, _THIRD])).close()
    assert caplog.messages == [f"{path} went from schema 1 to 3; what it was is kept in {copy}"]
    assert (_rows(copy), _rows(path)) == ([(1,)], [(1, "new", 3)])
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert _names(tmp_path) == ["d.db", "d.db.schema-1"]


async def test_who_goes_back_is_told_how_and_it_works(tmp_path: Path) -> None:
    path = tmp_path / "d.db"
    await _filled(path)
    await (await Database.open(path, [_FIRST, _SECOND])).close()
    _killed(path, "INSERT INTO t VALUES (2, 'lost')")
    with pytest.raises(OcgError) as caught:
        await Database.open(path, [_FIRST])
    command = caught.value.hint.partition("before it: ")[2]
    assert command == f"rm -f {path}-wal {path}-shm && mv {path}.schema-1 {path}"
    _shell(command)
    await (await Database.open(path, [_FIRST])).close()
    assert _rows(path) == [(1,)]


async def test_migrations_of_one_start_happen_all_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "d.db"
    await _filled(path)
    with pytest.raises(OcgError):
        await Database.open(path, [_FIRST, _SECOND, "INSERT INTO nowhere VALUES (1)"])
    await (await Database.open(path, [_FIRST])).close()
    assert _rows(path) == [(1,)]


async def test_without_room_for_the_copy_nothing_is_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "d.db"
    await _filled(path)
    before = path.read_bytes()
    usage = shutil.disk_usage(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1))
        with pytest.raises(OcgError, match="is copied") as caught:
            await Database.open(path, [_FIRST, _SECOND])
    assert caught.value.code is Code.DISK_FULL
    assert path.read_bytes() == before
    assert _names(tmp_path) == ["d.db"]


async def test_a_copy_is_replaced_only_by_a_whole_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path, copy = tmp_path / "d.db", tmp_path / "d.db.schema-1"
    await _filled(path)
    copy.write_bytes(b"the old one")
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fail)
        with pytest.raises(OcgError) as caught:
            await Database.open(path, [_FIRST, _SECOND])
    assert caught.value.code is Code.DISK_FULL
    assert copy.read_bytes() == b"the old one"
    assert _names(tmp_path) == ["d.db", "d.db.schema-1"]
    (tmp_path / ".d.db.schema-1.new").write_bytes(b"what a crash left")
    await (await Database.open(path, [_FIRST, _SECOND])).close()
    assert _rows(copy) == [(1,)]
    assert _names(tmp_path) == ["d.db", "d.db.schema-1"]


async def test_a_file_that_is_no_database_is_reported_and_kept(tmp_path: Path) -> None:
    (tmp_path / "d.db").write_bytes(b"this is not a database, it is something else" * 100)
    with pytest.raises(OcgError) as caught:
        await Database.open(tmp_path / "d.db", [_FIRST])
    assert caught.value.code is Code.DATA_DAMAGED
    assert b"something else" in (tmp_path / "d.db").read_bytes()


async def test_a_full_disk_says_so_and_keeps_what_was_acknowledged(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "d.db", [_FIRST])
    await database.write(lambda c: c.execute("INSERT INTO t VALUES (1)"))
    await database.read(lambda c: c.execute("PRAGMA max_page_count = 3").fetchone())
    with pytest.raises(OcgError) as caught:
        await database.write(lambda c: c.execute("INSERT INTO t SELECT randomblob(100000)"))
    count = await database.read(lambda c: c.execute("SELECT count(*) FROM t").fetchone()[0])
    await database.close()
    assert caught.value.code is Code.DISK_FULL
    assert count == 1
