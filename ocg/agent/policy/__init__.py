"""Which call of a tool is run, which is asked about, and which is not run: rules in a file, else the tool's default."""

from ocg.agent.policy.file import PolicyFile
from ocg.agent.policy.rules import Call, Policy, Rule, Verdict

__all__ = ["Call", "Policy", "PolicyFile", "Rule", "Verdict"]
