"""What confined tools are asked, and in which cage."""

from ocg.protocol.tooling.base import Cage, Failure
from ocg.protocol.tooling.command import Ended, Run
from ocg.protocol.tooling.files import Read
from ocg.protocol.tooling.web import Fetch, Page

__all__ = ["Cage", "Ended", "Failure", "Fetch", "Page", "Read", "Request", "Run"]

# One a kind; the tag names its module in ocg/tool.
Request = Run | Read | Fetch
