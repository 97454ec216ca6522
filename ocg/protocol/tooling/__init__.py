"""What confined tools are asked, and in which cage."""

from ocg.protocol.tooling.base import Cage, Failure
from ocg.protocol.tooling.command import Ended, Run
from ocg.protocol.tooling.files import USERS_OWN, ApplyPatch, Edit, Glob, Grep, Ls, Read, Write

__all__ = [
    "USERS_OWN",
    "ApplyPatch",
    "Cage",
    "Edit",
    "Ended",
    "Failure",
    "Glob",
    "Grep",
    "Ls",
    "Read",
    "Request",
    "Run",
    "Write",
]

# One a kind; the tag names its module in ocg/tool.
Request = Run | Read | Write | Edit | ApplyPatch | Ls | Glob | Grep
