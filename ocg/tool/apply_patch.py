"""Applying a patch to several files: either all of it, or nothing."""

from contextlib import ExitStack

from ocg.errors import Code, OcgError
from ocg.protocol.tooling import ApplyPatch, patch
from ocg.tool.hunks import patched
from ocg.tool.text import Text
from ocg.tool.workspace import Workspace


def apply_patch(workspace: Workspace, asked: ApplyPatch) -> str:
    """Work out what each file becomes, write all of it beside the files, and only then put it in its place."""
    tree = _Tree(workspace)
    done = [tree.change(one) for one in patch.parse(asked.patch)]
    with ExitStack() as stack:
        kept = {path: data for path, data in tree.files.items() if data is not None}
        drafts = [stack.enter_context(workspace.drafted(path, data)) for path, data in kept.items()]
        for draft in drafts:
            draft.land()
    for path in [path for path, data in tree.files.items() if data is None and workspace.has(path)]:
        workspace.remove(path)
    return "\n".join(done)


class _Tree:
    """The workspace as the patch has it so far; `files` are those that change, None for one that goes."""

    def __init__(self, workspace: Workspace) -> None:
        self.files: dict[str, bytes | None] = {}
        self._workspace = workspace

    def change(self, change: patch.Change) -> str:
        """Take in a change, and say what it is."""
        path, to = (self._workspace.relative(one) if one else "" for one in (change.path, change.to))
        if change.kind == "Add":
            self._check_free(path)
            (chunk,) = change.chunks
            self.files[path] = "".join(f"{line}\n" for _, line in chunk.lines).encode()
            return f"added {path}"
        data = self._data(path)
        if change.kind == "Delete":
            self.files[path] = None
            return f"deleted {path}"
        file = Text.of(path, data)
        text = patched(path, file.text, change.chunks)
        if to and to != path:
            self._check_free(to)
            self.files[path] = None
        self.files[to or path] = file.replaced(text)
        return f"changed {path}" + (f", which is {to} now" if to else "")

    def _data(self, path: str) -> bytes:
        data = self.files[path] if path in self.files else self._workspace.read(path)
        if data is None:
            raise OcgError(Code.NOT_FOUND, f"{path} is deleted further up in the patch", "say once what becomes of it")
        return data

    def _check_free(self, path: str) -> None:
        is_there = self.files[path] is not None if path in self.files else self._workspace.has(path)
        if is_there:
            raise OcgError(Code.CONFLICT, f"{path} is there already", "change it with *** Update File, or delete it")
