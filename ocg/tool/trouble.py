"""What the system refuses, said so that a model knows what to do next."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from ocg.errors import Code, OcgError

_SAID = {
    errno.ENOENT: (Code.NOT_FOUND, "is not there", "look with ls or glob"),
    errno.EXDEV: (Code.FORBIDDEN, "leads out of the workspace, by .. or by a link", "other files cannot be reached"),
    errno.ELOOP: (Code.INVALID_REQUEST, "is, or lies behind, a link that is not followed", "name the file itself"),
    errno.ENOTDIR: (Code.INVALID_REQUEST, "is no folder, or lies below a file", "look with ls"),
    errno.EISDIR: (Code.INVALID_REQUEST, "is a folder", "look into it with ls"),
    errno.EROFS: (Code.FORBIDDEN, "is the user's to change, not yours", "tell them what to write there"),
    errno.EBUSY: (Code.FORBIDDEN, "is the user's to change, not yours", "tell them what to write there"),
    errno.EACCES: (Code.FORBIDDEN, "may not be opened like that: its rights forbid it", "ask the user"),
    errno.EPERM: (Code.FORBIDDEN, "may not be changed: its rights forbid it", "ask the user"),
    errno.ENXIO: (Code.INVALID_REQUEST, "is no regular file", "pipes, sockets and devices are not opened"),
    errno.ENAMETOOLONG: (Code.INVALID_REQUEST, "is too long for a path", "choose a shorter one"),
    errno.ENOSPC: (Code.DISK_FULL, "does not fit: the disk is full", "tell the user"),
    errno.EDQUOT: (Code.DISK_FULL, "does not fit: the disk quota is used up", "tell the user"),
}


@contextmanager
def about(path: str) -> Iterator[None]:
    """Turn what the system refuses about a path into an error of ours."""
    try:
        yield
    except OSError as error:
        code, why, hint = _SAID.get(error.errno or 0, (Code.INVALID_REQUEST, f": {error.strerror}", "ask the user"))
        raise OcgError(code, f"{path} {why}".replace(" : ", ": "), hint) from None
