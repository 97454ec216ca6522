"""Root bringing models into a folder of another user's, who could put links in root's way there.

So root works in a folder of its own beside it, and hands over what is done by descriptors that follow no link.
"""

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ocg.errors import Code, OcgError

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def workplace(folder: Path) -> Iterator[Path]:
    """Give the place to bring models to: the folder itself, or root's own, from which they are handed over after.

    What a download that was cut off has left stays there for the next. Raises UNSAFE_PATH.
    """
    data = folder.parent
    if os.geteuid() != 0 or not data.exists() or data.lstat().st_uid == 0:
        yield folder
        return
    own = data.parent / f".{data.name}-models"
    own.mkdir(mode=0o700, exist_ok=True)
    status = own.lstat()
    if status.st_uid != 0 or not stat.S_ISDIR(status.st_mode):
        raise OcgError(Code.UNSAFE_PATH, f"{own} is not a folder of root's", "remove it")
    try:
        yield own
    finally:  # what is done is handed over, whatever became of the rest
        for path in own.glob("[!.]*.gguf"):
            hand_over(path, folder)
        with suppress(OSError):  # a part of a download is in it
            own.rmdir()


def hand_over(path: Path, folder: Path) -> None:
    """Move a model into the folder, as its owner's. Raises UNSAFE_PATH when a link is in the way."""
    try:
        data = os.open(folder.parent, _FOLDER)
        try:
            owner = os.fstat(data)
            target = os.open(folder.name, _FOLDER, dir_fd=data)
        finally:
            os.close(data)
    except OSError as error:
        raise OcgError(Code.UNSAFE_PATH, f"{folder}: {error.strerror}", "it has to be a folder, not a link") from None
    try:
        _copy(path, target, owner)
    finally:
        os.close(target)
    path.unlink()


def _copy(path: Path, target: int, owner: os.stat_result) -> None:
    """Write it under a new name, which nobody can have prepared (O_EXCL), then put that in its place."""
    temporary = f".{path.name}.{os.getpid()}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=target)
    try:
        with path.open("rb") as source, open(descriptor, "wb") as stream:
            shutil.copyfileobj(source, stream, 1 << 20)
            stream.flush()
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
            os.fsync(descriptor)
        os.rename(temporary, path.name, src_dir_fd=target, dst_dir_fd=target)
    except BaseException:
        os.unlink(temporary, dir_fd=target)
        raise
