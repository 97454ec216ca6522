"""The files of the workspace; each call is done by a confined process."""

from typing import Any

import msgspec

from ocg.agent.confinement import Confinement, ask
from ocg.agent.tools.base import Place, Tool
from ocg.protocol.approvals import Decision
from ocg.protocol.tooling import ApplyPatch, Cage, Edit, Glob, Grep, Ls, Read, Write

_PATCH = """Change, add, move or delete several files at once, or none where a line does not fit.
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
    read = "Read a text file of the workspace; each line comes with its number and a tab, which are not in it."
    write = "Write a whole file, new or not; folders above it are made."
    edit = "Change a text in a file; read it first, and give what stands there exactly."
    glob = "Find files by their names; those changed last come first."
    grep = "Find lines in files."
    return (
        FileTool(confinement, Cage.RO, Read, read),
        FileTool(confinement, Cage.RO, Ls, "List a folder: sizes, days, names."),
        FileTool(confinement, Cage.RO, Glob, glob),
        FileTool(confinement, Cage.RO, Grep, grep),
        FileTool(confinement, Cage.RW, Write, write),
        FileTool(confinement, Cage.RW, Edit, edit, is_repeatable=False),
        FileTool(confinement, Cage.RW, ApplyPatch, _PATCH, is_repeatable=False),
    )
