"""SQLite as the stores need it: durable, migrated forward only, errors that say what to do."""

import sqlite3
import stat
from pathlib import Path

import pytest

from ocg.database import Database
from ocg.errors import Code, OcgError

_FIRST = "CREATE TABLE t (a INTEGER)"
_SECOND = "ALTER TABLE t ADD COLUMN b TEXT DEFAULT 'new'"


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


async def test_an_older_ocg_leaves_a_newer_database_alone(tmp_path: Path) -> None:
    await (await Database.open(tmp_path / "d.db", [_FIRST, _SECOND])).close()
    before = (tmp_path / "d.db").read_bytes()
    with pytest.raises(OcgError) as caught:
        await Database.open(tmp_path / "d.db", [_FIRST])
    assert caught.value.code is Code.DATA_NEWER
    assert (tmp_path / "d.db").read_bytes() == before


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
