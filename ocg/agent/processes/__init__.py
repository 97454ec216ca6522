"""Commands that tools run: one that is waited for, and those that go on in the background."""

from ocg.agent.processes.command import SHELL, follow, run
from ocg.agent.processes.processes import Limits, Processes

__all__ = ["SHELL", "Limits", "Processes", "follow", "run"]
