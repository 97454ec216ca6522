"""What confined tools are asked, and in which cage."""

from ocg.protocol.tooling.base import Cage, Failure
from ocg.protocol.tooling.browser import Action, Browse
from ocg.protocol.tooling.command import Ended, Run
from ocg.protocol.tooling.files import SERVERS_OWN, USERS_OWN, ApplyPatch, Edit, Glob, Grep, Ls, Read, Write
from ocg.protocol.tooling.picture import Picture
from ocg.protocol.tooling.web import Fetch, Page

__all__ = [
    "SERVERS_OWN",
    "USERS_OWN",
    "Action",
    "ApplyPatch",
    "Browse",
    "Cage",
    "Edit",
    "Ended",
    "Failure",
    "Fetch",
    "Glob",
    "Grep",
    "Ls",
    "Page",
    "Picture",
    "Read",
    "Request",
    "Run",
    "Write",
]

# One a kind; the tag names its module in ocg/tool.
Request = Run | Read | Write | Edit | ApplyPatch | Ls | Glob | Grep | Picture | Fetch | Browse
