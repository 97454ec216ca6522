"""Finding files by their names."""

from ocg.protocol.tooling import Glob
from ocg.tool.globs import compiled
from ocg.tool.shown import listed
from ocg.tool.walk import files
from ocg.tool.workspace import Workspace

_MOST = 200


def glob(workspace: Workspace, asked: Glob) -> str:
    """Return the paths, those that were changed last first."""
    fits = compiled(workspace.relative(asked.pattern))
    with workspace.folder(asked.path):  # or say that it is not there
        found = [one for one in files(workspace, asked.path) if fits(one.below)]
    found.sort(key=lambda one: (-one.stat.st_mtime, one.path))
    return listed((one.path for one in found), _MOST, "more: narrow it down") or f"no file fits {asked.pattern}"
