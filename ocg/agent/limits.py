"""How far a turn may go. A limit that is 0 is none."""

from collections.abc import Sequence
from dataclasses import dataclass

from ocg.config import AgentSettings
from ocg.errors import Code, OcgError
from ocg.protocol.messages import Message


@dataclass(frozen=True, slots=True)
class TurnLimits:
    """Replies of the model, tokens of all of them with their prompts, seconds, and US dollars."""

    steps: int
    tokens: int
    time_s: float
    cost: float

    @classmethod
    def of(cls, settings: AgentSettings) -> "TurnLimits":
        """Take them from the settings."""
        return cls(settings.turn_steps, settings.turn_tokens, settings.turn_time_s, settings.turn_cost)

    def check(self, steps: Sequence[Message]) -> None:
        """Raise LIMIT, naming the setting, when there may be no further reply."""
        replies = [step for step in steps if step.role == "assistant"]
        usages = [reply.usage for reply in replies if reply.usage is not None]
        tokens, cost = sum(one.total_tokens for one in usages), sum(one.cost for one in usages)
        if self.steps and len(replies) >= self.steps:
            raise _reached(f"{len(replies)} steps", "OCG_TURN_STEPS")
        if self.tokens and tokens >= self.tokens:
            raise _reached(f"{tokens} tokens", "OCG_TURN_TOKENS")
        if self.cost and cost >= self.cost:
            raise _reached(f"{cost:.4f} dollars", "OCG_TURN_COST")

    def timeout(self) -> OcgError:
        """Say that a turn took too long."""
        return OcgError(Code.TIMEOUT, f"the turn took longer than {self.time_s:g} s", "ask for less, or OCG_TURN_TIME")


def _reached(what: str, key: str) -> OcgError:
    return OcgError(Code.LIMIT, f"the turn took {what}, which is its limit", f"ask for less at once, or raise {key}")
