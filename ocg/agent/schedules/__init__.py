"""What the agent is to be asked later: kept on disk, begun when it is due, each run one turn."""

from ocg.agent.schedules.clock import Clock, SystemClock
from ocg.agent.schedules.schedules import Schedules

__all__ = ["Clock", "Schedules", "SystemClock"]
