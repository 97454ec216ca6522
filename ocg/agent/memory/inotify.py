"""inotify(7) by ctypes: two calls of the C library that it has had, unchanged, since 2008.

The libraries that offer it (watchdog, inotify-simple, asyncinotify) bring threads, fall-backs or an event class a kind;
all that is needed here is to hear that something below a folder is no longer as it was.
"""

import asyncio
import ctypes
import errno
import os
from pathlib import Path

from ocg.errors import Code, OcgError

_CLOSE_WRITE, _MOVED_FROM, _MOVED_TO, _CREATE, _DELETE = 0x8, 0x40, 0x80, 0x100, 0x200
_DELETE_SELF, _MOVE_SELF = 0x400, 0x800
_ONLYDIR, _DONT_FOLLOW, _EXCL_UNLINK = 0x01000000, 0x02000000, 0x04000000
# An editor that writes another file and renames it is seen by MOVED_TO, one that writes in place by CLOSE_WRITE.
_CHANGES = _CLOSE_WRITE | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE | _DELETE_SELF | _MOVE_SELF
_MASK = _CHANGES | _ONLYDIR | _DONT_FOLLOW | _EXCL_UNLINK
_BUFFER_BYTES = 65536


class Inotify:
    """Tells that something has changed; what, is seen by looking. An overflow of the kernel's queue tells it, too."""

    def __init__(self) -> None:
        """Raise UNAVAILABLE when the kernel gives no more of them (fs.inotify.max_user_instances)."""
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = self._libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        if self._descriptor < 0:
            raise _explained(ctypes.get_errno(), "inotify_init1", "fs.inotify.max_user_instances")
        self._changed = asyncio.Event()
        asyncio.get_running_loop().add_reader(self._descriptor, self._read)

    def close(self) -> None:
        """Stop watching."""
        asyncio.get_running_loop().remove_reader(self._descriptor)
        os.close(self._descriptor)

    def watch(self, folder: Path) -> None:
        """Watch a folder, not what is below it. The same again is no error. May be called from any thread.

        Raises NOT_FOUND when there is no such folder, UNAVAILABLE when it cannot be watched.
        """
        if self._libc.inotify_add_watch(self._descriptor, os.fsencode(folder), _MASK) < 0:
            number = ctypes.get_errno()
            if number in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}:
                raise OcgError(Code.NOT_FOUND, f"{folder} cannot be watched: {os.strerror(number)}")
            if number != errno.ENOSPC:
                raise OcgError(Code.UNAVAILABLE, f"{folder} cannot be watched: {os.strerror(number)}")
            raise _explained(number, str(folder), "fs.inotify.max_user_watches")

    async def change(self) -> None:
        """Wait until something has changed since the last call."""
        await self._changed.wait()
        self._changed.clear()

    def _read(self) -> None:
        try:
            while os.read(self._descriptor, _BUFFER_BYTES):
                self._changed.set()
        except BlockingIOError:
            return


def _explained(number: int, what: str, limit: str) -> OcgError:
    return OcgError(Code.UNAVAILABLE, f"{what}: {os.strerror(number)}", f"raise {limit} by sysctl")
