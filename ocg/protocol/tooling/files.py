"""Reading and writing in the workspace. What the model gives is what the confined process is asked.

A policy sees which paths a call is about: `path`, or `paths` where there are several; with `is_deep` all that lies
below as well.
"""

from typing import Annotated, ClassVar

import msgspec

from ocg.protocol.tooling import patch

MAX_FILE_BYTES = 4 << 20
"""How large a file may be that is written, edited or searched; any may be read, in parts."""

# What the user alone writes: nothing that the agent was talked into stays in there.
USERS_OWN = ("SOUL.md", "INSTRUCTIONS.md", "AGENTS.md", "USER.md")
# Where MCP servers have their homes: what they fetch is run with the network, so no other tool writes there.
SERVERS_OWN = ".mcp"

# What a model is told of a tool it reads with every message: no more than it needs. The rest is checked in the cage.
Path = Annotated[str, msgspec.Meta(description="a path in the workspace")]


class Read(msgspec.Struct, frozen=True, tag_field="op", tag="read"):
    """What to read."""

    path: Path
    offset: Annotated[int, msgspec.Meta(ge=1, description="the first line, from 1")] = 1
    limit: Annotated[int, msgspec.Meta(ge=1, description="how many lines")] = 2000


class Write(msgspec.Struct, frozen=True, tag_field="op", tag="write"):
    """A file's whole content."""

    path: Path
    content: str


class Edit(msgspec.Struct, frozen=True, tag_field="op", tag="edit"):
    """A text that stands in a file, and what is to stand there instead."""

    path: Path
    old_string: Annotated[str, msgspec.Meta(min_length=1, description="with enough lines to be there only once")]
    new_string: str
    replace_all: bool = False


class ApplyPatch(msgspec.Struct, frozen=True, tag_field="op", tag="apply_patch"):
    """Changes to several files, all of which are made, or none."""

    patch: str

    def __post_init__(self) -> None:
        """Raise ValueError where it is none."""
        patch.parse(self.patch)

    @property
    def paths(self) -> tuple[str, ...]:
        """Every path in it."""
        found = (path for change in patch.parse(self.patch) for path in (change.path, change.to))
        return tuple(dict.fromkeys(path for path in found if path))


class Ls(msgspec.Struct, frozen=True, tag_field="op", tag="ls"):
    """Which folder to list."""

    path: Path = "."


class Glob(msgspec.Struct, frozen=True, tag_field="op", tag="glob"):
    """Which files to look for."""

    is_deep: ClassVar[bool] = True

    pattern: Annotated[
        str, msgspec.Meta(max_length=512, description="*.py, which is found in any folder, or src/**/*.{js,ts}")
    ]
    path: Path = "."


class Grep(msgspec.Struct, frozen=True, tag_field="op", tag="grep"):
    """What to look for in files."""

    is_deep: ClassVar[bool] = True

    pattern: Annotated[str, msgspec.Meta(max_length=1024, description="a regular expression of Python's")]
    path: Annotated[str, msgspec.Meta(description="a folder or a file")] = "."
    include: Annotated[str, msgspec.Meta(max_length=512, description="which files, as for glob")] = ""
    ignore_case: bool = False
    context: Annotated[int, msgspec.Meta(ge=0, le=20, description="lines shown around each")] = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100
