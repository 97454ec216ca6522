"""The token that OCG makes for the page and the API: a file beside the data, made once.

It is believed only where nobody else can have written it.
"""

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ocg.errors import Code, OcgError

_MAX_BYTES = 4096
# O_NONBLOCK: a pipe in its place must not make us wait for whoever writes into it.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def path_in(data_dir: Path) -> Path:
    """Where the token lies, or would lie."""
    return data_dir / "token"


def read(data_dir: Path) -> str:
    """Return the token that was made; nothing when there is none that we may read and believe."""
    with suppress(OSError, OcgError):
        return _read(path_in(data_dir))
    return ""


def ensure(data_dir: Path) -> str:
    """Return the token; make one (mode 0640) when there is none, which is on the disk when this returns.

    Raises UNSAFE_PATH when what lies there cannot be believed, CONFIG_INVALID when none can be saved.
    """
    file = path_in(data_dir)
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(data_dir) as folder:
            return _read(file) or _make(file, folder)
    except OSError as error:
        raise OcgError(
            Code.CONFIG_INVALID,
            f"{file}: the token can be neither read nor saved: {error.strerror}",
            "make it a file in a folder of your own, or set OCG_UI_TOKEN",
        ) from None


def _read(file: Path) -> str:
    try:
        descriptor = os.open(file, _READ)
    except FileNotFoundError:
        return ""
    try:
        _check(file, os.fstat(descriptor))
        return os.read(descriptor, _MAX_BYTES).decode("ascii").strip()
    except UnicodeDecodeError:
        raise OcgError(Code.UNSAFE_PATH, f"{file} is no token", "remove it, and another is made") from None
    finally:
        os.close(descriptor)


def _check(file: Path, status: os.stat_result) -> None:
    """Raise UNSAFE_PATH unless it is a file that nobody but us, root or the data's owner can have written."""
    is_safe = stat.S_ISREG(status.st_mode) and not _is_open(status)
    if not is_safe or status.st_uid not in {0, os.geteuid(), _owner(file.parent)}:
        raise OcgError(
            Code.UNSAFE_PATH,
            f"{file} may be somebody else's (owner: user {status.st_uid}, mode {stat.S_IMODE(status.st_mode):04o})",
            "remove it, and another is made; or set OCG_UI_TOKEN",
        )


def _owner(data_dir: Path) -> int:
    """Whose the data are, if root alone can have made that folder, as systemd makes /var/lib/ocg; else ours."""
    above = data_dir.parent.lstat()
    return data_dir.lstat().st_uid if above.st_uid == 0 and not _is_open(above) else os.geteuid()


def _is_open(status: os.stat_result) -> bool:
    return bool(status.st_mode & (stat.S_IWGRP | stat.S_IWOTH))


def _make(file: Path, folder: int) -> str:
    """Put a new token in its place, at once and for good: the file is on the disk before its name is."""
    import secrets  # noqa: PLC0415 - 10 ms, at the first start alone

    token = secrets.token_urlsafe(32)
    beside = file.with_name(f".{file.name}.new")
    beside.unlink(missing_ok=True)  # a crash left it
    descriptor = os.open(beside, _WRITE, 0o600)
    try:
        os.fchmod(descriptor, 0o640)  # whatever the umask: the group ocg may read what the service of the system made
        os.write(descriptor, f"{token}\n".encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.replace(beside, file)
    os.fsync(folder)
    return token


@contextmanager
def _locked(data_dir: Path) -> Iterator[int]:
    """Hold the folder's lock, so that two services started at once make one token."""
    folder = os.open(data_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield folder
    finally:
        os.close(folder)
