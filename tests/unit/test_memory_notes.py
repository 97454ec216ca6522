"""Memories in files when the kernel refuses: what cannot be seen is not taken for deleted, and is looked for again."""

import asyncio
import ctypes
import errno
import logging
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Never

import pytest

from ocg.agent.memory import Memories, notes
from ocg.agent.memory.files import Folder, Seen
from ocg.agent.memory.inotify import Inotify
from ocg.agent.memory.notes import Notes
from ocg.agent.outbox import Outbox
from ocg.agent.schema import MIGRATIONS
from ocg.database import Database
from ocg.errors import Code, OcgError
from ocg.protocol.clients import EmbeddingClient

REFUSALS = (errno.EMFILE, errno.EIO, errno.EACCES)


class Looking:
    """Notes over a folder with a file at the top and one in a subfolder, both known."""

    def __init__(self, notes: Notes, memories: Memories, folder: Path) -> None:
        self.notes, self.folder, self._memories = notes, folder, memories

    async def texts(self) -> set[str]:
        """Return what is remembered."""
        return {one.text for one in await self._memories.newest(99)}

    async def look(self, watch: Callable[[Path], None] = lambda _: None) -> set[str]:
        """Look through the folder, and return what is remembered then."""
        await self.notes.look(watch)
        return await self.texts()


@asynccontextmanager
async def looking(tmp_path: Path, again_s: float = 60.0) -> AsyncIterator[Looking]:
    """Notes that have looked once."""
    folder = tmp_path / "work" / "memory"
    (folder / "sub").mkdir(parents=True)
    (folder / "top.md").write_text("Top.\n")
    (folder / "sub" / "deep.md").write_text("Deep.\n")
    database = await Database.open(tmp_path / "agent.db", MIGRATIONS)
    try:
        async with EmbeddingClient(tmp_path) as embedding:
            outbox = Outbox(database, embedding)
            followed = Notes(database, outbox, folder.parent, again_s)
            made = Looking(followed, Memories(database, embedding, outbox), folder)
            assert await made.look() == {"Top.", "Deep."}
            yield made
    finally:
        await database.close()


@contextmanager
def refused(name: str, number: int) -> Iterator[None]:
    """Have the kernel refuse to open whatever has this name."""
    really = os.open

    def refusing(path: Any, *more: Any, **named: Any) -> int:
        if Path(path).name == name:
            raise OSError(number, os.strerror(number))
        return really(path, *more, **named)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "open", refusing)
        yield


@pytest.mark.parametrize("number", REFUSALS)
@pytest.mark.parametrize("name", ["memory", "sub"])
async def test_a_folder_that_cannot_be_opened_keeps_its_memories_and_is_warned_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, number: int, name: str
) -> None:
    async with looking(tmp_path) as found:
        (found.folder / "sub" / "deep.md").unlink()
        with refused(name, number):
            for _ in range(2):
                assert await found.look() == {"Top.", "Deep."}
        assert caplog.text.count("what is known of it stays: " + os.strerror(number)) == 1
        assert await found.look() == {"Top."}


async def test_beside_a_folder_that_cannot_be_opened_changes_are_followed(tmp_path: Path) -> None:
    async with looking(tmp_path) as found:
        (found.folder / "top.md").unlink()
        (found.folder / "new.md").write_text("New.\n")
        with refused("sub", errno.EMFILE):
            assert await found.look() == {"New.", "Deep."}


@pytest.mark.parametrize("number", REFUSALS)
async def test_a_file_that_cannot_be_opened_keeps_its_memories_and_is_read_later(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, number: int
) -> None:
    async with looking(tmp_path) as found:
        (found.folder / "sub" / "deep.md").write_text("Deeper.\n")
        with refused("deep.md", number):
            for _ in range(2):
                assert await found.look() == {"Top.", "Deep."}
        assert caplog.text.count("what is known of it stays") == 1
        assert await found.look() == {"Top.", "Deeper."}


async def test_an_entry_that_cannot_be_examined_is_kept_with_all_below_it(tmp_path: Path) -> None:
    class Entry:
        name = "sub"

        def is_dir(self, *, follow_symlinks: bool) -> bool:
            return follow_symlinks

        def stat(self, *, follow_symlinks: bool) -> Never:
            raise OSError(errno.EIO, f"input/output error {follow_symlinks}")

    @contextmanager
    def listing(_: int) -> Iterator[list[Entry]]:
        yield [Entry()]

    async with looking(tmp_path) as found:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(os, "scandir", listing)
            assert await found.look() == {"Deep."}


@pytest.mark.parametrize("number", [errno.ENOENT, errno.ENOTDIR, errno.ELOOP])
async def test_what_is_not_there_is_forgotten(tmp_path: Path, number: int) -> None:
    async with looking(tmp_path) as found:
        with refused("sub", number):
            assert await found.look() == {"Top."}


async def test_folders_that_cannot_be_watched_are_read_with_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def watch(folder: Path) -> None:
        raise OcgError(Code.UNAVAILABLE, f"{folder}: no space left", "raise fs.inotify.max_user_watches by sysctl")

    async with looking(tmp_path) as found:
        (found.folder / "sub" / "deep.md").write_text("Deeper.\n")
        assert await found.look(watch) == {"Top.", "Deeper."}
        assert await found.look(watch) == {"Top.", "Deeper."}
        (warning,) = [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]
        assert "fs.inotify.max_user_watches" in warning


async def test_without_inotify_the_folder_is_looked_through_again_and_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def none_left() -> Never:
        raise OcgError(Code.UNAVAILABLE, "inotify_init1: too many", "raise fs.inotify.max_user_instances by sysctl")

    async def until(found: Looking, texts: set[str]) -> None:
        async with asyncio.timeout(10):
            while await found.texts() != texts:  # noqa: ASYNC110 - other tasks say nothing of it
                await asyncio.sleep(0.01)

    async with looking(tmp_path, again_s=0.05) as found:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(notes, "Inotify", none_left)
            async with asyncio.TaskGroup() as tasks:
                following = tasks.create_task(found.notes.run_for_ever())
                for number in range(3):
                    (found.folder / "top.md").write_text(f"Top {number}.\n")
                    await until(found, {f"Top {number}.", "Deep."})
                following.cancel()
        assert caplog.text.count("max_user_instances") == 1


@pytest.mark.parametrize(
    ("number", "code", "hint"),
    [
        (errno.ENOENT, Code.NOT_FOUND, ""),
        (errno.ENOTDIR, Code.NOT_FOUND, ""),
        (errno.ELOOP, Code.NOT_FOUND, ""),
        (errno.EACCES, Code.UNAVAILABLE, ""),
        (errno.ENOMEM, Code.UNAVAILABLE, ""),
        (errno.ENOSPC, Code.UNAVAILABLE, "max_user_watches"),
    ],
)
async def test_why_a_folder_cannot_be_watched(tmp_path: Path, number: int, code: Code, hint: str) -> None:
    class Libc:
        def inotify_add_watch(self, *_: object) -> int:
            ctypes.set_errno(number)
            return -1

    inotify = Inotify()
    try:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(inotify, "_libc", Libc())
            with pytest.raises(OcgError) as caught:
                inotify.watch(tmp_path)
    finally:
        inotify.close()
    assert caught.value.code is code
    assert hint in str(caught.value)
    assert ("sysctl" in str(caught.value)) is bool(hint)


def test_a_file_that_cannot_be_said_to_be_gone_is_no_file_that_is_gone(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("A.\n")
    folder = Folder(tmp_path)
    with refused("a.md", errno.EIO), pytest.raises(OcgError) as caught:
        folder.read(Seen("a.md", ""))
    assert caught.value.code is Code.UNAVAILABLE
    assert folder.read(Seen("b.md", "")) is None
