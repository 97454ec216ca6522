"""What the agent remembers."""

from ocg.agent.memory.memories import Memories

__all__ = ["Memories"]
