"""Finding and reading skills in folders that others may write while they are read.

In the workspace no link is followed, not even for a moment: each step opens what it names in the folder before, and
nothing else. In the user's and the system's folder a skill may be a link, as people keep them elsewhere.
"""

import itertools
import logging
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ocg.agent.skills import front
from ocg.errors import Code, OcgError
from ocg.protocol.skills import Origin, Skill

_log = logging.getLogger(__name__)

FILE = "SKILL.md"
MAX_BYTES = 128 << 10
_MOST = 1000  # entries of a folder that are looked at
_MOST_FILES, _MOST_FOLDERS, _DEEPEST = 200, 100, 6
_Stamp = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Root:
    """A folder with skills: `below` is the part of its path in which no link is followed."""

    origin: Origin
    base: Path
    below: str = ""

    @property
    def path(self) -> Path:
        """All of it."""
        return self.base / self.below


@dataclass(frozen=True, slots=True)
class Found:
    """What a skill's folder was found to be, when its file was as `stamp` says; without a skill `why` says why not."""

    root: Root
    stamp: _Stamp
    skill: Skill | None = None
    why: str = ""


Library = Mapping[str, Found]


def scan(roots: tuple[Root, ...], known: Library) -> Library:
    """Return what there is by its folder, in the roots' order; only what has changed is read, and named if it is wrong.

    A root that is not there has none.
    """
    return {found_in: found for root in roots for found_in, found in _of_root(root, known)}


def text_of(found: Found, file: str = FILE) -> str:
    """Return a file of a skill's. Raises INVALID_REQUEST for what is none, or too long."""
    with _skill_folder(found) as folder:
        return _text(folder, file)


def files_of(found: Found) -> tuple[str, ...]:
    """List the files beside a skill's instructions."""
    with _skill_folder(found) as folder:
        return tuple(itertools.islice(_listed(folder), _MOST_FILES))


def _of_root(root: Root, known: Library) -> Iterator[tuple[str, Found]]:
    with suppress(OSError), _opened(root) as folder:
        for name, _ in _entries(folder):
            path = str(root.path / name)
            with suppress(OSError), _within(folder, name, follows=not root.below) as inside:
                found = _one(root, path, inside, known.get(path))
                yield path, found


def _one(root: Root, path: str, folder: int, known: Found | None) -> Found:
    status = os.stat(FILE, dir_fd=folder, follow_symlinks=False)
    stamp = (status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino)
    if known is not None and known.stamp == stamp:
        return known
    try:
        return Found(root, stamp, front.read(_text(folder, FILE), path, root.origin))
    except OcgError as error:
        _log.warning("%s is no skill: %s", path, error.message)
        return Found(root, stamp, why=error.message)


@contextmanager
def _opened(root: Root) -> Iterator[int]:
    """Open a root's folder, step by step."""
    descriptor = os.open(root.base, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in PurePosixPath(root.below).parts:
            with _within(descriptor, part) as inside:
                os.dup2(inside, descriptor, inheritable=False)
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _within(folder: int, name: str, *, follows: bool = False) -> Iterator[int]:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | (0 if follows else os.O_NOFOLLOW)
    descriptor = os.open(name, flags, dir_fd=folder)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _skill_folder(found: Found) -> Iterator[int]:
    name = found.skill.folder.rpartition("/")[2] if found.skill else ""
    with _opened(found.root) as root, _within(root, name, follows=not found.root.below) as folder:
        yield folder


def _text(folder: int, file: str) -> str:
    *parts, name = PurePosixPath(file).parts or (file,)
    if file.startswith("/") or ".." in (*parts, name):
        raise _no_file(file, "it is not a path within the skill's folder")
    if parts:
        try:
            with _within(folder, parts[0]) as inside:
                return _text(inside, "/".join((*parts[1:], name)))
        except OSError as error:
            raise _no_file(file, error.strerror or "") from None
    try:  # neither a link nor a FIFO is waited for
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except (OSError, ValueError) as error:
        raise _no_file(file, str(error)) from None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise _no_file(file, "it is no file")
        with os.fdopen(descriptor, "rb", closefd=False) as stream:
            data = stream.read(MAX_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(data) > MAX_BYTES:
        raise _no_file(file, f"it is longer than {MAX_BYTES} bytes")
    return data.decode("utf-8", "replace").replace("\0", "")


def _no_file(file: str, why: str) -> OcgError:
    return OcgError(Code.INVALID_REQUEST, f"{file[:200]!r} cannot be read: {why}", "name a file that the skill lists")


def _listed(folder: int) -> Iterator[str]:
    """Give the files' paths, those of outer folders first; no folder is entered by a link."""
    folders = [""]
    for at in folders:  # it grows meanwhile
        for name, is_folder in _entries(folder, at):
            path = f"{at}{name}"
            if is_folder and len(folders) < _MOST_FOLDERS and path.count("/") < _DEEPEST:
                folders.append(f"{path}/")
            elif not is_folder and path != FILE:
                yield path


def _entries(folder: int, path: str = "") -> list[tuple[str, bool]]:
    """List a folder, or one below it: names that can be seen, and whether they are folders."""
    if path:
        first, _, rest = path.partition("/")
        with suppress(OSError), _within(folder, first) as inside:
            return _entries(inside, rest)
        return []
    with os.scandir(folder) as found:
        shown = [one for one in itertools.islice(found, _MOST) if one.name.isprintable() and one.name[0] != "."]
        return sorted((one.name, one.is_dir(follow_symlinks=False)) for one in shown)
