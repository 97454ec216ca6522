"""Keeps the memories that stand in the workspace's Markdown files in step with the files.

At a start, and whenever something below the folder changes, the folder is looked through: a file whose time, size or
inode is another is read, and one whose bytes are others is split anew. What has not changed in it keeps its memory.
"""

import asyncio
import logging
import sqlite3
from contextlib import suppress
from pathlib import Path

from ocg.agent.memory import records
from ocg.agent.memory.files import Folder, Seen, Watch
from ocg.agent.memory.inotify import Inotify
from ocg.agent.memory.records import Draft
from ocg.agent.memory.sections import sections
from ocg.agent.outbox import Outbox
from ocg.database import Database
from ocg.errors import Code, OcgError

_log = logging.getLogger(__name__)

_SETTLE_S = 0.2  # an editor does several things to write a file
_AGAIN_S = 60.0  # where nothing tells of changes, or the folder cannot be made
_MAX_MEMORIES = 20_000


class Notes:
    """The folder `memory` of the workspace, and the memories that stand in it."""

    def __init__(self, database: Database, outbox: Outbox, workspace: Path, again_s: float = _AGAIN_S) -> None:
        self._database = database
        self._outbox = outbox
        self._folder = Folder(workspace / "memory")
        self._again_s = again_s

    async def run_for_ever(self) -> None:
        """Follow the files; whatever goes wrong is logged and tried again."""
        said = ""
        while True:
            try:
                await self._follow()
            except OcgError as error:
                if str(error) != said:
                    _log.warning("memories in files are looked for each %g s only: %s", self._again_s, error)
                said = str(error)
            except Exception:  # noqa: BLE001 - the task must outlive whatever comes
                _log.exception("memories in files are not followed, next try in %g s", self._again_s)
            await asyncio.sleep(self._again_s)

    async def _follow(self) -> None:
        await asyncio.to_thread(_make, self._folder.root)
        try:
            inotify = Inotify()
        except OcgError:
            await self.look(_unwatched)  # what is there is read all the same
            raise
        try:
            while True:
                await self.look(inotify.watch)
                with suppress(TimeoutError):
                    # Not every file system tells: on some the machine at the other end writes.
                    async with asyncio.timeout(self._again_s):
                        await inotify.change()
                        await asyncio.sleep(_SETTLE_S)
        finally:
            inotify.close()

    async def look(self, watch: Watch) -> None:
        """Look through the folder once. What cannot be seen stays as it is known. Raises UNSAFE_PATH."""
        try:
            scan = await asyncio.to_thread(self._folder.scan, watch)
        except OcgError as error:
            if error.code is not Code.NOT_FOUND:
                raise
            await asyncio.to_thread(_make, self._folder.root)  # deleted as a whole: so are its memories
            scan = await asyncio.to_thread(self._folder.scan, watch)
        known = await self._database.read(_known)
        for path in known.keys() - {one.path for one in scan.files}:
            if scan.knows(path):
                await self._take(path, None, "")
        for seen in scan.files:
            if known.get(seen.path, ("", ""))[0] != seen.stamp:
                await self._read(seen, known.get(seen.path, ("", ""))[1])

    async def _read(self, seen: Seen, digest: str) -> None:
        try:
            read = await asyncio.to_thread(self._folder.read, seen)
        except OcgError:  # which is logged; it is tried again with the next look
            return
        if read is None:
            await self._take(seen.path, None, "")
        elif read[1] == digest:
            sql = "UPDATE memory_files SET stamp = ? WHERE path = ?"
            await self._database.write(lambda db: db.execute(sql, (seen.stamp, seen.path)).rowcount)
        else:
            await self._take(seen.path, (seen.stamp, read[1]), read[0])

    async def _take(self, path: str, known: tuple[str, str] | None, text: str) -> None:
        """Have a file's memories be what its text says; without `known` the file is no more."""
        drafts = await asyncio.to_thread(_drafts, path, text)
        added, gone = await self._database.write(lambda db: _replace(db, path, drafts, known))
        if added or gone:
            _log.info("%s: %d memories added, %d removed", self._folder.root / path, added, gone)
            self._outbox.wake()


def _unwatched(_: Path) -> None:
    """Watch nothing."""


def _make(folder: Path) -> None:
    """Make the folder where there is none, so that it can be watched. Raises UNSAFE_PATH."""
    try:
        if not folder.is_dir():
            folder.mkdir(mode=0o700, parents=True)
            folder.chmod(folder.parent.stat().st_mode & 0o770)  # who may write in the workspace may write here
    except OSError as error:
        raise OcgError(Code.UNSAFE_PATH, f"{folder}: {error.strerror}", "set OCG_WORKSPACE") from None


def _drafts(path: str, text: str) -> list[Draft]:
    return [
        Draft(
            text=one.text,
            kind="note",
            source=f"file:{path}#{one.heading}" if one.heading else f"file:{path}",
            file=path,
        )
        for one in sections(text)
    ]


def _known(db: sqlite3.Connection) -> dict[str, tuple[str, str]]:
    return {row["path"]: (row["stamp"], row["digest"]) for row in db.execute("SELECT * FROM memory_files")}


def _replace(db: sqlite3.Connection, path: str, drafts: list[Draft], known: tuple[str, str] | None) -> tuple[int, int]:
    """Add what is new in a file and delete what is gone from it; return how much of each."""
    there = {(row["source"], row["text"]): row for row in db.execute("SELECT * FROM memories WHERE file = ?", (path,))}
    (others,) = db.execute("SELECT count(*) FROM memories WHERE file IS NOT NULL AND file <> ?", (path,)).fetchone()
    if others + len(drafts) > _MAX_MEMORIES:
        _log.warning("%s is cut: files hold more than %d memories", path, _MAX_MEMORIES)
        drafts = drafts[: max(0, _MAX_MEMORIES - others)]
    wanted = {(one.source, one.text): one for one in drafts}
    gone = [row for key, row in there.items() if key not in wanted]
    new = [one for key, one in wanted.items() if key not in there]
    records.delete(db, gone)
    for one in new:
        records.add(db, one)
    db.execute("DELETE FROM memory_files WHERE path = ?", (path,))
    if known is not None:
        db.execute("INSERT INTO memory_files (path, stamp, digest) VALUES (?, ?, ?)", (path, *known))
    return len(new), len(gone)
