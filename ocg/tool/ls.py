"""Listing a folder."""

import os
import stat
import time
from contextlib import suppress

from ocg.protocol.tooling import Ls
from ocg.tool.shown import listed
from ocg.tool.walk import entries
from ocg.tool.workspace import Workspace

_MOST = 500
_UNITS = "KMGTP"


def ls(workspace: Workspace, asked: Ls) -> str:
    """Return a line each: the size, when it was changed, and the name; folders end in a slash."""
    with workspace.folder(asked.path) as fd:
        lines = (_line(fd, name, found) for name, found in entries(fd))
        return listed(lines, _MOST, "more: look for what you need with glob") or "[the folder is empty]"


def _line(fd: int, name: str, found: os.stat_result) -> str:
    link = ""
    if stat.S_ISLNK(found.st_mode):
        with suppress(OSError):  # gone meanwhile
            link = f" -> {os.readlink(name, dir_fd=fd)}"
    is_folder = stat.S_ISDIR(found.st_mode)
    day = time.strftime("%Y-%m-%d %H:%M", time.localtime(found.st_mtime))
    return f"{'-' if is_folder else _size(found.st_size):>6}  {day}  {name}{'/' if is_folder else link}"


def _size(size: float) -> str:
    if size < 1024:  # noqa: PLR2004 - bytes
        return str(size)
    unit = -1
    while size >= 1024 and unit + 1 < len(_UNITS):  # noqa: PLR2004 - as above
        size /= 1024
        unit += 1
    return f"{size:.1f}{_UNITS[unit]}"
