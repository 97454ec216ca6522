"""Programs of the user's that are called on events: those that watch, and those that may forbid a call of a tool."""

from ocg.agent.hooks.hooks import Guard, Hooks, Limits

__all__ = ["Guard", "Hooks", "Limits"]
