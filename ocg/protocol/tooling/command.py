"""Running a program."""

import msgspec


class Run(msgspec.Struct, frozen=True, kw_only=True, tag_field="op", tag="run"):
    """A program with its arguments, in a folder of the workspace.

    `env` comes beside a clean environment. After `timeout_s` it is ended, and what it has started with it; 0 is no
    limit of ours. Without `is_interactive` it has no input. With `parts_errors` its standard error comes apart. The
    folders `shows` are there to be read besides; under systemd the unit's drop-in decides on them.
    """

    argv: tuple[str, ...]
    folder: str = "."
    env: dict[str, str] = {}
    timeout_s: float = 0.0
    is_interactive: bool = False
    parts_errors: bool = False
    shows: tuple[str, ...] = ()


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How a program ended: its exit status, or the signal that ended it; `why` where it was us."""

    status: int | None = None
    signal: int | None = None
    why: str = ""
