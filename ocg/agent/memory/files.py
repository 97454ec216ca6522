"""The Markdown files below a folder, read without following a link or waiting for a pipe; nothing is ever written.

Whoever may write to the folder must not have us read what lies elsewhere, or make us wait.
"""

import errno
import hashlib
import logging
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ocg.errors import Code, OcgError

Watch = Callable[[Path], None]
_log = logging.getLogger(__name__)

MAX_FILES = 2000
MAX_FOLDERS = 500
MAX_FILE_BYTES = 1 << 20
_MAX_SAID = 10_000
_HIDDEN = "hidden"  # it is passed over without a word
_SUFFIXES = (".md", ".markdown")
# Only these say that nothing is there. Out of descriptors, or refused by a disk, one knows no more than before.
GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})


@dataclass(frozen=True, slots=True)
class Seen:
    """A file as it is now: its path below the folder, and what changes whenever it is written."""

    path: str
    stamp: str


@dataclass(frozen=True, slots=True)
class Scan:
    """What a look has found, and the paths of which it cannot say what is there now."""

    files: tuple[Seen, ...]
    unknown: tuple[str, ...]

    def knows(self, path: str) -> bool:
        """Whether a file that was not found is no more: neither it nor a folder above it is unknown."""
        return not any(one in {"", path} or path.startswith(f"{one}/") for one in self.unknown)


class Folder:
    """The folder. What is left out is logged, once for as long as it is not written anew."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._said: set[tuple[Seen, str]] = set()

    def scan(self, watch: Watch) -> Scan:
        """List the files; `watch` is called for each folder before that is listed, so that no change is missed.

        A folder that cannot be watched is listed all the same. Raises NOT_FOUND when there is no such folder.
        """
        found: list[Seen] = []
        unknown: list[str] = []
        for seen, why in self._walk(watch):
            if isinstance(why, OSError):
                self._doubt(seen, why)
                unknown.append(seen.path)
            elif why or len(found) == MAX_FILES:
                self._refuse(seen, why or f"there are more than {MAX_FILES} files")
            else:
                found.append(seen)
        return Scan(tuple(found), tuple(unknown))

    def _refuse(self, seen: Seen, why: str) -> None:
        if self._is_news(seen, why):
            _log.warning("%s is not read: %s", self.root / seen.path, why)

    def _doubt(self, seen: Seen, error: OSError) -> None:
        if self._is_news(seen, str(error.strerror)):
            _log.warning("%s cannot be read, what is known of it stays: %s", self.root / seen.path, error.strerror)

    def _is_news(self, seen: Seen, why: str) -> bool:
        if (seen, why) in self._said:
            return False
        if len(self._said) >= _MAX_SAID:
            self._said.clear()
        self._said.add((seen, why))
        return True

    def _watch(self, watch: Watch, folder: str) -> None:
        try:
            watch(self.root / folder)
        except OcgError as error:  # one line is enough: where there are no more watches, many folders have none
            if error.code is not Code.NOT_FOUND and self._is_news(Seen("", ""), "unwatched"):
                _log.warning("what changes in some folders of memories is seen within a minute only: %s", error)

    def _walk(self, watch: Watch) -> Iterator[tuple[Seen, str | OSError]]:
        folders = [""]
        for folder in folders:  # which grows meanwhile
            self._watch(watch, folder)
            try:
                with _opened(self.root, folder, os.O_DIRECTORY) as descriptor, os.scandir(descriptor) as listed:
                    judged = [_judged(folder, entry) for entry in listed]
            except OSError as error:
                if error.errno not in GONE:
                    yield Seen(folder.rstrip("/"), ""), error
                elif not folder:
                    raise OcgError(Code.NOT_FOUND, f"{self.root} cannot be read: {error.strerror}") from None
                continue
            for is_folder, seen, why in sorted(judged, key=lambda one: one[1].path):
                if is_folder and why != _HIDDEN and len(folders) < MAX_FOLDERS:
                    folders.append(f"{seen.path}/")
                elif not is_folder and why != _HIDDEN:
                    yield seen, why

    def read(self, seen: Seen) -> tuple[str, str] | None:
        """Return a file's text and digest; None, with a line in the log, when it is not what it should be.

        Raises UNAVAILABLE, with a line in the log, when it cannot be said what it is.
        """
        try:
            with _opened(self.root, seen.path, os.O_NONBLOCK) as descriptor:
                is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
                data = _read(descriptor) if is_file else b""
        except OSError as error:
            if error.errno not in GONE:
                self._doubt(seen, error)
                raise OcgError(Code.UNAVAILABLE, f"{self.root / seen.path}: {error.strerror}") from None
            self._refuse(seen, f"it cannot be opened: {error.strerror}")
            return None
        text = _decoded(data)
        if not is_file or len(data) > MAX_FILE_BYTES or text is None:
            self._refuse(seen, "it is no UTF-8 text" if is_file and text is None else "it is no small file")
            return None
        return text, hashlib.sha256(data).hexdigest()


@contextmanager
def _opened(root: Path, path: str, flags: int) -> Iterator[int]:
    """Open what lies below a folder, following no symbolic link on the way down."""
    flags |= os.O_RDONLY | os.O_CLOEXEC
    with ExitStack() as held:
        descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        held.callback(os.close, descriptor)
        *above, last = path.strip("/").split("/")
        for part in above:
            descriptor = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=descriptor)
            held.callback(os.close, descriptor)
        if last:
            descriptor = os.open(last, flags | os.O_NOFOLLOW, dir_fd=descriptor)
            held.callback(os.close, descriptor)
        yield descriptor


def _read(descriptor: int) -> bytes:
    with open(descriptor, "rb", closefd=False) as stream:
        return stream.read(MAX_FILE_BYTES + 1)


def _decoded(data: bytes) -> str | None:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def _is_text(name: str) -> bool:
    """Whether a name is Unicode, and so can be a memory's source."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _judged(folder: str, entry: os.DirEntry[str]) -> tuple[bool, Seen, str | OSError]:
    """Say whether an entry is a folder, describe it, and say why it is refused, if it is."""
    if entry.name.startswith(".") or not _is_text(entry.name):
        return False, Seen("", ""), _HIDDEN
    path = f"{folder}{entry.name}"
    try:
        status = entry.stat(follow_symlinks=False)
    except OSError as error:
        return False, Seen(path, ""), _HIDDEN if error.errno in GONE else error
    seen = Seen(path, f"{status.st_mtime_ns} {status.st_size} {status.st_ino}")
    return stat.S_ISDIR(status.st_mode), seen, _objection(status, is_markdown=entry.name.endswith(_SUFFIXES))


def _objection(status: os.stat_result, *, is_markdown: bool) -> str:
    if stat.S_ISLNK(status.st_mode):
        return "a symbolic link is not followed"
    if not is_markdown:
        return "" if stat.S_ISDIR(status.st_mode) else _HIDDEN
    if not stat.S_ISREG(status.st_mode):
        return "" if stat.S_ISDIR(status.st_mode) else "only files are read"
    return "" if status.st_size <= MAX_FILE_BYTES else f"larger than {MAX_FILE_BYTES >> 20} MiB"
