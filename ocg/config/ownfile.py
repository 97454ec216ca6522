"""Small files of our own: believed only where nobody else can have written them, and put in their place for good."""

import os
import stat
from pathlib import Path

from ocg.errors import Code, OcgError

# O_NONBLOCK: a pipe in its place must not make us wait for whoever writes into it.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def read(file: Path, *, limit_bytes: int, hint: str) -> bytes | None:
    """Read a file up to a limit; None where there is none.

    Raises UNSAFE_PATH, with the hint, when what lies there cannot be believed, and OSError when it cannot be read.
    """
    try:
        descriptor = os.open(file, _READ)
    except FileNotFoundError:
        return None
    with open(descriptor, "rb") as stream:
        _check(file, os.fstat(descriptor), hint)
        return stream.read(limit_bytes)


def write(file: Path, data: bytes, *, mode: int) -> None:
    """Put a file in its place, at once and for good: it is on the disk before its name is. Raises OSError."""
    beside = file.with_name(f".{file.name}.new")
    beside.unlink(missing_ok=True)  # a crash left it
    descriptor = os.open(beside, _WRITE, 0o600)
    with open(descriptor, "wb") as stream:
        os.fchmod(descriptor, mode)  # whatever the umask
        stream.write(data)
        stream.flush()
        os.fsync(descriptor)
    os.replace(beside, file)
    folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _check(file: Path, status: os.stat_result, hint: str) -> None:
    """Raise UNSAFE_PATH unless it is a file that nobody but us, root or the data's owner can have written."""
    if not (stat.S_ISREG(status.st_mode) and is_ours(status, file.parent)):
        raise OcgError(
            Code.UNSAFE_PATH,
            f"{file} may be somebody else's (owner: user {status.st_uid}, mode {stat.S_IMODE(status.st_mode):04o})",
            hint,
        )


def is_ours(status: os.stat_result, data_dir: Path) -> bool:
    """Whether nobody but us, root or the owner of the data can have changed what has this status."""
    return not _is_open(status) and status.st_uid in {0, os.geteuid(), _owner(data_dir)}


def _owner(data_dir: Path) -> int:
    """Whose the data are, if root alone can have made that folder, as systemd makes /var/lib/ocg; else ours."""
    above = data_dir.parent.lstat()
    return data_dir.lstat().st_uid if above.st_uid == 0 and not _is_open(above) else os.geteuid()


def _is_open(status: os.stat_result) -> bool:
    return bool(status.st_mode & (stat.S_IWGRP | stat.S_IWOTH))
