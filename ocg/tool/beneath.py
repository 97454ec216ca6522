"""Opening what lies below a folder: the kernel follows the path, and refuses what would lead out of it."""

import ctypes
import errno
import functools
import os

_OPENAT2 = 437  # on every architecture
_BENEATH, _NO_MAGICLINKS = 0x08, 0x02
_TRIES = 100  # somebody may move folders meanwhile


class _How(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def open_beneath(folder: int, path: str, flags: int) -> int:
    """Open what a path relative to a folder leads to. Raises OSError: EXDEV where it leads out of the folder."""
    flags |= os.O_CLOEXEC
    for _ in range(_TRIES):
        try:
            return _openat2(folder, path, flags)
        except BlockingIOError:
            continue
        except OSError as error:
            if error.errno in {errno.ENOSYS, errno.EPERM}:  # a kernel before 5.6, or a filter that does not know it
                return open_by_steps(folder, path, flags)
            raise
    raise OSError(errno.EAGAIN, "folders above it are being moved")


def open_by_steps(folder: int, path: str, flags: int) -> int:
    """Do the same without openat2, a folder at a time; then no link is followed at all."""
    *above, last = [part for part in path.split("/") if part not in {"", "."}] or ["."]
    if ".." in {*above, last}:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
    here = os.dup(folder)
    try:
        for part in above:
            below = os.open(part, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here)
            os.close(here)
            here = below
        return os.open(last, flags | os.O_NOFOLLOW, dir_fd=here)
    finally:
        os.close(here)


def _openat2(folder: int, path: str, flags: int) -> int:
    how = _How(flags, 0, _BENEATH | _NO_MAGICLINKS)
    found = int(_libc().syscall(_OPENAT2, folder, os.fsencode(path), ctypes.byref(how), ctypes.sizeof(how)))
    if found < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return found


@functools.cache
def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    return libc
