"""What the agent can learn to do when it needs it: folders with a SKILL.md."""

from ocg.agent.skills.scan import Root
from ocg.agent.skills.skills import Skills, roots

__all__ = ["Root", "Skills", "roots"]
