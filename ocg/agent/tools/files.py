"""The files of the workspace; each call is done by a confined process."""

from typing import Any

import msgspec

from ocg.agent.confinement import Confinement, ask
from ocg.agent.tools.base import Place, Tool
from ocg.protocol.approvals import Decision
from ocg.protocol.tooling import ApplyPatch, Cage, Edit, Glob, Grep, Ls, Read, Write

_PATCH = """Change, add, move or delete several files at once: all of it is done, or nothing. Lines that stay begin
with a space, those that go with -, those that come with +; give three that stay around each change. After @@ may stand
a line further up, such as a function's head.
*** Begin Patch
*** Update File: src/a.py
@@ def f():
     x = 1
-    return x
+    return x + 1
*** Add File: src/b.py
+new = True
*** Delete File: c.txt
*** End Patch"""


class FileTool:
    """See Tool. What the model gives is what the confined process is asked; its tag is the tool's name."""

    default: Decision = "allow"
    timeout_s = 60.0
    is_outside = True

    def __init__(
        self,
        confinement: Confinement,
        cage: Cage,
        arguments: type[msgspec.Struct],
        description: str,
        *,
        is_repeatable: bool = True,
    ) -> None:
        self._confinement = confinement
        self._cage = cage
        self.arguments = arguments
        self.name = str(arguments.__struct_config__.tag)
        self.description = description
        self.is_repeatable = is_repeatable

    async def run(self, arguments: Any, place: Place) -> str:
        """Have it done."""
        del place
        return await ask(self._confinement, self._cage, arguments)


def tools(confinement: Confinement) -> tuple[Tool, ...]:
    """Return all of them."""
    read = "Read a text file of the workspace. Each line comes with its number and a tab, which are not in the file."
    write = "Write a whole file of the workspace, new or not; folders above it are made. To change a file, use edit."
    edit = "Change a text in a file of the workspace; read it first. What stands there must be given exactly."
    glob = "Find files of the workspace by their names; those changed last come first."
    grep = "Find the lines that fit a pattern in the files of the workspace, with their numbers."
    return (
        FileTool(confinement, Cage.RO, Read, read),
        FileTool(confinement, Cage.RO, Ls, "List a folder of the workspace: sizes, days, names."),
        FileTool(confinement, Cage.RO, Glob, glob),
        FileTool(confinement, Cage.RO, Grep, grep),
        FileTool(confinement, Cage.RW, Write, write),
        FileTool(confinement, Cage.RW, Edit, edit, is_repeatable=False),
        FileTool(confinement, Cage.RW, ApplyPatch, _PATCH, is_repeatable=False),
    )
