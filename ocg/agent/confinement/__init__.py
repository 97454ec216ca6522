"""Where tools run: apart from the agent, in a cage that the kernel holds."""

from ocg.agent.confinement.base import Confined, Confinement, ask, ask_bytes
from ocg.agent.confinement.choice import choose

__all__ = ["Confined", "Confinement", "ask", "ask_bytes", "choose"]
