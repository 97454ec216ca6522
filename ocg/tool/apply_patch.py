"""Applying a patch to several files: either all of it, or nothing."""

import posixpath
from contextlib import AbstractContextManager, ExitStack

from ocg.errors import Code, OcgError
from ocg.protocol.tooling import ApplyPatch, patch
from ocg.tool.hunks import patched
from ocg.tool.text import Text
from ocg.tool.workspace import Pending, Workspace


def apply_patch(workspace: Workspace, asked: ApplyPatch) -> str:
    """Work out what each file becomes, write all of it beside the files, and only then put it in its place."""
    tree = _Tree(workspace)
    done = [tree.change(one) for one in patch.parse(asked.patch)]
    with ExitStack() as stack:
        for one in [stack.enter_context(change) for change in tree.pending()]:
            one.land()
    return "\n".join(done)


class _Tree:
    """The workspace as the patch has it so far; `files` are those that change, None for one that goes."""

    def __init__(self, workspace: Workspace) -> None:
        self.files: dict[str, bytes | None] = {}
        self._names: dict[object, str] = {}
        self._workspace = workspace

    def pending(self) -> list[AbstractContextManager[Pending]]:
        """Return what is to be done: first what is written, so that nothing is gone before it is elsewhere."""
        written = [self._workspace.drafted(path, data) for path, data in self.files.items() if data is not None]
        gone = [path for path, data in self.files.items() if data is None and self._workspace.stat(path)]
        return [*written, *(self._workspace.removing(path) for path in gone)]

    def change(self, change: patch.Change) -> str:
        """Take in a change, and say what it is."""
        if change.kind == "Delete":  # of a link, not of what it leads to
            return self._delete(self._plain(change.path))
        path, to = (self._named(one) if one else "" for one in (change.path, change.to))
        if change.kind == "Add":
            self._check_free(path)
            (chunk,) = change.chunks
            self.files[path] = "".join(f"{line}\n" for _, line in chunk.lines).encode()
            return f"added {path}"
        file = Text.of(path, self._data(path))
        text = patched(path, file.text, change.chunks)
        if to and to != path:
            self._check_free(to)
            self.files[path] = None
        self.files[to or path] = file.replaced(text)
        return f"changed {path}" + (f", which is {to} now" if to else "")

    def _delete(self, path: str) -> str:
        if self._workspace.stat(path) is None and self.files.get(path) is None:
            raise OcgError(Code.NOT_FOUND, f"{path} is not there", "look with ls or glob")
        self.files[path] = None
        return f"deleted {path}"

    def _plain(self, path: str) -> str:
        path = self._workspace.relative(path)
        return path if ".." in path.split("/") else posixpath.normpath(path)

    def _named(self, path: str) -> str:
        """Return a path as the patch has named the file before, should it lead to the same one."""
        path = self._plain(path)
        found = self._workspace.stat(path)
        return self._names.setdefault((found.st_dev, found.st_ino) if found else path, path)

    def _data(self, path: str) -> bytes:
        data = self.files[path] if path in self.files else self._workspace.read(path)
        if data is None:
            raise OcgError(Code.NOT_FOUND, f"{path} is deleted further up in the patch", "say once what becomes of it")
        return data

    def _check_free(self, path: str) -> None:
        is_there = self.files[path] is not None if path in self.files else self._workspace.stat(path) is not None
        if is_there:
            raise OcgError(Code.CONFLICT, f"{path} is there already", "change it with *** Update File, or delete it")
