"""The workspace, opened once: whatever path is given, nothing outside of it is read or written."""

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from ocg.errors import Code, OcgError
from ocg.protocol.tooling import USERS_OWN
from ocg.protocol.tooling.files import MAX_FILE_BYTES
from ocg.tool.beneath import open_beneath
from ocg.tool.trouble import about

_FOLDER = os.O_RDONLY | os.O_DIRECTORY
_READING = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY
_PATH_MAX, _MAX_LINKS = 4096, 40  # as Linux has them
# A rule that allows `git fetch`, say, is to allow no more than that; of hg the same is true. And npx, by which many
# servers of MCP are started, with the network and with their keys, does what a .npmrc in the workspace says.
_SAY_WHAT_IS_RUN = frozenset({".git", ".hg", ".npmrc"})


class Pending(Protocol):
    """A change that nothing but the disk itself stands against."""

    def land(self) -> None:
        """Do it; on return that survives a power cut."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A file's new content, on the disk beside it until it lands. See Pending."""

    path: str
    folder: int
    name: str
    beside: str
    is_new: bool

    def land(self) -> None:
        """Put it in its place."""
        with about(self.path):
            os.replace(self.beside, self.name, src_dir_fd=self.folder, dst_dir_fd=self.folder)
            os.fsync(self.folder)


@dataclass(frozen=True, slots=True)
class Removal:
    """A file, or a link, that goes. See Pending."""

    path: str
    folder: int
    name: str

    def land(self) -> None:
        """Remove it."""
        with about(self.path):
            os.unlink(self.name, dir_fd=self.folder)
            os.fsync(self.folder)


class Workspace:
    """See above. `fd` is its descriptor, and `path` where it lies."""

    def __init__(self, fd: int, path: str) -> None:
        self.fd = fd
        self.path = path

    def relative(self, path: str) -> str:
        """Return a path relative to the workspace. Raises FORBIDDEN for an absolute one to elsewhere."""
        if "\0" in path or len(os.fsencode(path)) >= _PATH_MAX:
            raise OcgError(Code.INVALID_REQUEST, f"{path[:80]!r} is no path", "give one without a NUL, below 4 KiB")
        if path.startswith("/") and path != self.path and not path.startswith(f"{self.path}/"):
            why = f"{path} is not in the workspace, {self.path}"
            raise OcgError(Code.FORBIDDEN, why, "give a path relative to it; other files cannot be reached")
        return path.removeprefix(self.path).lstrip("/") or "."

    @contextmanager
    def reading(self, path: str) -> Iterator[BinaryIO]:
        """Open a regular file; nothing is waited for, as it would be at a pipe."""
        with about(path), _closing(open_beneath(self.fd, self.relative(path), _READING)) as fd:
            _check_regular(path, os.fstat(fd))
            with open(fd, "rb", closefd=False) as stream:
                yield stream

    def read(self, path: str) -> bytes:
        """Return a whole file. Raises TOO_LARGE."""
        with self.reading(path) as stream:
            data = stream.read(MAX_FILE_BYTES + 1)
        if len(data) > MAX_FILE_BYTES:
            raise _too_large(path)
        return data

    @contextmanager
    def folder(self, path: str) -> Iterator[int]:
        """Open a folder."""
        with about(path), _closing(open_beneath(self.fd, self.relative(path), _FOLDER)) as fd:
            yield fd

    def stat(self, path: str) -> os.stat_result | None:
        """Return what a path leads to; None where there is nothing."""
        try:
            with about(path), _closing(open_beneath(self.fd, self.relative(path), os.O_PATH)) as fd:
                return os.fstat(fd)
        except OcgError as error:
            if error.code is Code.NOT_FOUND:
                return None
            raise

    def write(self, path: str, data: bytes) -> bool:
        """Replace a file's content, or make a new one, and say whether it is new; folders above it are made."""
        with self.drafted(path, data) as draft:
            draft.land()
            return draft.is_new

    @contextmanager
    def drafted(self, path: str, data: bytes) -> Iterator[Draft]:
        """Write a file's new content to the disk; it is dropped if it has not landed by the end."""
        if len(data) > MAX_FILE_BYTES:
            raise _too_large(path)
        with ExitStack() as stack:
            stack.enter_context(about(path))
            folder, name = self._landing(path, stack)
            mode = _mode_of(path, folder, name)
            beside = f".ocg-{secrets.token_hex(8)}"
            fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666, dir_fd=folder)
            stack.callback(_drop, folder, beside)
            with open(fd, "wb") as stream:
                if mode is not None:
                    os.fchmod(fd, mode)
                stream.write(data)
                stream.flush()
                os.fsync(fd)
            yield Draft(path, folder, name, beside, mode is None)

    @contextmanager
    def removing(self, path: str) -> Iterator[Removal]:
        """Make sure that a file, or a link, may be removed."""
        above, name = _parted(self.relative(path))
        with self.folder(above) as folder, about(path):
            self._check_own(path, folder, name)
            if not os.access(".", os.W_OK, dir_fd=folder):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            yield Removal(path, folder, name)

    def _landing(self, path: str, stack: ExitStack) -> tuple[int, str]:
        """Return the folder and the name that a file is written by: where a link leads, and not the link."""
        here = self.relative(path)
        for _ in range(_MAX_LINKS):
            above, name = _parted(here)
            folder = stack.enter_context(_closing(self._made(above)))
            try:
                link = os.readlink(name, dir_fd=folder)
            except OSError:  # no link, or nothing yet
                self._check_own(path, folder, name)
                return folder, name
            try:
                here = self.relative(link if link.startswith("/") else f"{above}/{link}")
            except OcgError as error:
                raise OcgError(error.code, f"{path} is a link: {error.message}", error.hint) from None
        raise OcgError(Code.INVALID_REQUEST, f"{path} is a link that leads to no end", "remove it")

    def _made(self, path: str) -> int:
        """Open a folder, and make it first where it is not there."""
        with suppress(FileNotFoundError):
            return open_beneath(self.fd, path, _FOLDER)
        parts = path.split("/")
        for at, part in enumerate(parts):
            with _closing(open_beneath(self.fd, "/".join(parts[:at]) or ".", _FOLDER)) as above:
                if part in {"", ".", ".."}:
                    continue
                with suppress(FileExistsError):
                    os.mkdir(part, 0o777, dir_fd=above)
                    os.fsync(above)
        return open_beneath(self.fd, path, _FOLDER)

    def _check_own(self, path: str, folder: int, name: str) -> None:
        if name in USERS_OWN and os.path.samestat(os.fstat(folder), os.fstat(self.fd)):
            raise OcgError(
                Code.FORBIDDEN, f"{path} is the user's to change, not yours", "tell them what to write there"
            )
        if not _SAY_WHAT_IS_RUN.isdisjoint((name.lower(), *self._real(folder).lower().split("/"))):
            why = f"{path} is git's or npm's own: what stands there says what they run"
            raise OcgError(Code.FORBIDDEN, why, "have the program itself change it, by exec")

    def _real(self, folder: int) -> str:
        """Return where a folder in the workspace lies, whatever links led to it."""
        where, root = (Path(f"/proc/self/fd/{fd}").readlink() for fd in (folder, self.fd))
        return str(where.relative_to(root))


@contextmanager
def here() -> Iterator[Workspace]:
    """Open the current folder as the workspace."""
    with _closing(os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)) as fd:
        yield Workspace(fd, str(Path.cwd()))


@contextmanager
def _closing(fd: int) -> Iterator[int]:
    try:
        yield fd
    finally:
        os.close(fd)


def _drop(folder: int, name: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)


def _parted(path: str) -> tuple[str, str]:
    above, name = os.path.split(path)
    if name in {"", ".", ".."}:
        raise OcgError(Code.INVALID_REQUEST, f"{path} is a folder", "give the path of a file")
    return above or ".", name


def _mode_of(path: str, folder: int, name: str) -> int | None:
    """Return the mode of a file that may be written; None where there is none. The rename would not ask."""
    try:
        fd = os.open(name, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except FileNotFoundError:
        return None
    with _closing(fd):
        found = os.fstat(fd)
    _check_regular(path, found)
    return stat.S_IMODE(found.st_mode) & 0o777


def _too_large(path: str) -> OcgError:
    why = f"{path} is larger than {MAX_FILE_BYTES >> 20} MiB"
    return OcgError(Code.TOO_LARGE, why, "read it in parts, or have a program do it")


def _check_regular(path: str, found: os.stat_result) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise OcgError(Code.INVALID_REQUEST, f"{path} is a folder", "look into it with ls")
    if not stat.S_ISREG(found.st_mode):
        raise OcgError(Code.INVALID_REQUEST, f"{path} is no regular file", "pipes, sockets and devices are not opened")
