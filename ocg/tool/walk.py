"""All files below a folder, without following links, and without what programs put there for themselves."""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

from ocg.errors import OcgError
from ocg.tool.workspace import Workspace

_SKIPPED = frozenset(
    {".git", ".hg", ".svn", "node_modules", "__pycache__", ".venv", ".mypy_cache", ".pytest_cache", ".ruff_cache"}
)
MOST_FILES = 200_000


@dataclass(frozen=True, slots=True)
class Found:
    """A file: its path from the workspace, that from the folder where the walk began, and its stat."""

    path: str
    below: str
    stat: os.stat_result


def files(workspace: Workspace, top: str) -> Iterator[Found]:
    """Give the files, folder by folder, by their names; a folder that may not be read has none."""
    top = workspace.relative(top)
    pending, left = [""], MOST_FILES
    while pending:
        below = pending.pop()
        folders = []
        for name, found in _entries(workspace, _joined(top, below)):
            path = _joined(below, name)
            if not stat.S_ISDIR(found.st_mode):
                yield Found(_joined(top, path), path, found)
                left -= 1
                if not left:
                    return
            elif name not in _SKIPPED:
                folders.append(path)
        pending += reversed(folders)


def entries(fd: int) -> list[tuple[str, os.stat_result]]:
    """Return what is in a folder, by its names."""
    found = []
    with os.scandir(fd) as every:
        for entry in islice(every, MOST_FILES):
            with suppress(FileNotFoundError):  # gone meanwhile
                found.append((entry.name, entry.stat(follow_symlinks=False)))
    return sorted(found)


def _entries(workspace: Workspace, folder: str) -> list[tuple[str, os.stat_result]]:
    with suppress(OcgError), workspace.folder(folder or ".") as fd:
        return entries(fd)
    return []


def _joined(above: str, name: str) -> str:
    return f"{above}/{name}".rstrip("/") if above not in {"", "."} else name
