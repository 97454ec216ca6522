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

Path = Annotated[
    str,
    msgspec.Meta(min_length=1, max_length=4095, pattern="^[^\\u0000]*$", description="a path in the workspace"),
]
_Folder = Annotated[
    str,
    msgspec.Meta(min_length=1, max_length=4095, pattern="^[^\\u0000]*$", description="the folder; all when left out"),
]
_Content = Annotated[str, msgspec.Meta(max_length=MAX_FILE_BYTES)]
_GLOB = "as *.py, which is found in any folder, or src/**/*.{js,ts}"


class Read(msgspec.Struct, frozen=True, tag_field="op", tag="read"):
    """What to read."""

    path: Path
    offset: Annotated[int, msgspec.Meta(ge=1, le=1 << 31, description="the first line, from 1")] = 1
    limit: Annotated[int, msgspec.Meta(ge=1, le=10_000, description="how many lines at the most")] = 2000


class Write(msgspec.Struct, frozen=True, tag_field="op", tag="write"):
    """A file's whole content."""

    path: Path
    content: _Content


class Edit(msgspec.Struct, frozen=True, tag_field="op", tag="edit"):
    """A text that stands in a file, and what is to stand there instead."""

    path: Path
    old_string: Annotated[
        _Content, msgspec.Meta(min_length=1, description="the exact text, with enough lines to be there once only")
    ]
    new_string: Annotated[_Content, msgspec.Meta(description="what takes its place")]
    replace_all: Annotated[bool, msgspec.Meta(description="wherever it stands, not once")] = False


class ApplyPatch(msgspec.Struct, frozen=True, tag_field="op", tag="apply_patch"):
    """Changes to several files, all of which are made, or none."""

    patch: Annotated[
        str, msgspec.Meta(min_length=1, max_length=1 << 20, description="from *** Begin Patch to *** End Patch")
    ]

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

    path: _Folder = "."


class Glob(msgspec.Struct, frozen=True, tag_field="op", tag="glob"):
    """Which files to look for."""

    is_deep: ClassVar[bool] = True

    pattern: Annotated[str, msgspec.Meta(min_length=1, max_length=512, description=_GLOB)]
    path: _Folder = "."


class Grep(msgspec.Struct, frozen=True, tag_field="op", tag="grep"):
    """What to look for in files."""

    is_deep: ClassVar[bool] = True

    pattern: Annotated[str, msgspec.Meta(min_length=1, max_length=1024, description="a regular expression of Python's")]
    path: Annotated[_Folder, msgspec.Meta(description="the folder, or one file; all when left out")] = "."
    include: Annotated[str, msgspec.Meta(max_length=512, description=f"which files, {_GLOB}")] = ""
    ignore_case: bool = False
    context: Annotated[int, msgspec.Meta(ge=0, le=20, description="how many lines around each are shown")] = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000, description="how many lines that fit are shown")] = 100
