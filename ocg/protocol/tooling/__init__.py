"""What confined tools are asked, and in which cage."""

from ocg.protocol.tooling.base import Cage, Failure
from ocg.protocol.tooling.command import Ended, Run
from ocg.protocol.tooling.files import Read

__all__ = ["Cage", "Ended", "Failure", "Read", "Request", "Run"]

# One a kind; the tag names its module in ocg/tool.
Request = Run | Read
