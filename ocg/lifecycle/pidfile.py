"""PID files that prove what they say: a service holds a POSIX record lock on its own, and the kernel names the holder.

A number in a file proves nothing, since PIDs are used again. `fcntl(F_GETLK)` names the process that holds the lock
now, and the lock goes with the process, however it dies. Only a process of the file's owner is believed.
"""

import fcntl
import os
import stat
import struct
from pathlib import Path

from ocg.errors import Code, OcgError

SERVICES = ("ocg-embedding", "ocg-agent", "ocg-gateway")
# struct flock on 64-bit Linux: l_type, l_whence, l_start, l_len, l_pid.
_FLOCK = struct.Struct("hhqqi4x")


def open_dir(folder: Path) -> None:
    """Make the folder of PID files, or check the one there is. Raises UNSAFE_PATH when another user owns it."""
    try:
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        status = folder.lstat()
    except OSError as error:
        raise OcgError(
            Code.UNSAFE_PATH, f"{folder} cannot be made: {error.strerror}", "choose another with --pid-dir"
        ) from None
    if stat.S_ISLNK(status.st_mode):
        raise OcgError(
            Code.UNSAFE_PATH,
            f"{folder} is a link to {folder.readlink()}, as the units of systemd have it",
            "choose another with --pid-dir, or leave it to systemd",
        )
    if not _is_ours(status, stat.S_ISDIR):
        raise OcgError(
            Code.UNSAFE_PATH,
            f"{folder} is not a folder of ours (owner: user {status.st_uid}, we are user {os.geteuid()})",
            "choose another with --pid-dir or OCG_PID_DIR",
        )


def _is_ours(status: os.stat_result, kind: object) -> bool:
    ours = status.st_uid in {os.geteuid(), 0} and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return ours and callable(kind) and bool(kind(status.st_mode))


class PidFile:
    """A service's own PID file, written and locked for the length of its life."""

    def __init__(self, folder: Path, name: str) -> None:
        self.path = folder / f"{name}.pid"
        self._descriptor = -1

    def acquire(self) -> None:
        """Write and lock it. Raises ALREADY_RUNNING when a living service holds it."""
        open_dir(self.path.parent)
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise OcgError(
                Code.UNSAFE_PATH, f"{self.path} cannot be written: {error.strerror}", "remove it, or use --pid-dir"
            ) from None
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise OcgError(
                Code.ALREADY_RUNNING,
                f"{self.path.stem} runs already (PID {holder(self.path.parent, self.path.stem)})",
                "ocg stop, or choose another --pid-dir",
            ) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, b"%d\n" % os.getpid())
        self._descriptor = descriptor  # closing it would drop the lock

    def release(self) -> None:
        """Remove it."""
        if self._descriptor >= 0:
            self.path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = -1


def holder(folder: Path, name: str) -> int | None:
    """Return the PID of the living service that holds the PID file, as the kernel knows it, or None."""
    try:
        descriptor = os.open(folder / f"{name}.pid", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        status = os.fstat(descriptor)
        query = _FLOCK.pack(fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0)
        kind, _, _, _, pid = _FLOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_GETLK, query))
        if kind == fcntl.F_UNLCK or pid <= 0 or Path(f"/proc/{pid}").stat().st_uid != status.st_uid:
            return None
        return pid if _is_ours(status, stat.S_ISREG) else None
    except OSError:
        return None
    finally:
        os.close(descriptor)
