"""How far a turn may go. A limit that is 0 is none."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ocg.agent.spawned import Spawned
from ocg.config import AgentSettings
from ocg.errors import Code, OcgError
from ocg.protocol.messages import Message, Usage


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

    def within(self, spawned: Spawned | None) -> "TurnLimits":
        """Return them for a sub-agent, where it is one: those that it was given, if they are less."""
        if spawned is None:
            return self
        steps, time_s = self.steps or spawned.steps, self.time_s or spawned.time_s
        return replace(self, steps=min(steps, spawned.steps), time_s=min(time_s, spawned.time_s))

    def check(self, steps: Sequence[Message], spent: Usage) -> None:
        """Raise LIMIT, naming the setting, when there may be no further reply; `spent` is with that of sub-agents."""
        replies = sum(step.role == "assistant" for step in steps)
        if self.steps and replies >= self.steps:
            raise _reached(f"{replies} steps", "OCG_TURN_STEPS")
        if self.tokens and spent.total_tokens >= self.tokens:
            raise _reached(f"{spent.total_tokens} tokens", "OCG_TURN_TOKENS")
        if self.cost and spent.cost >= self.cost:
            raise _reached(f"{spent.cost:.4f} dollars", "OCG_TURN_COST")

    def timeout(self) -> OcgError:
        """Say that a turn took too long."""
        return OcgError(Code.TIMEOUT, f"the turn took longer than {self.time_s:g} s", "ask for less, or OCG_TURN_TIME")


def _reached(what: str, key: str) -> OcgError:
    return OcgError(Code.LIMIT, f"the turn took {what}, which is its limit", f"ask for less at once, or raise {key}")
