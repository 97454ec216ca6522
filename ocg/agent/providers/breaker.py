"""A circuit breaker: who fails again and again is left alone for a time that grows, then tried by one at a time."""

import time
from collections.abc import Callable
from enum import StrEnum

THRESHOLD = 3
FIRST_S = 15.0
LONGEST_S = 600.0

_MOST_DOUBLINGS = 32  # days of failures must not overflow a float


class State(StrEnum):
    """Closed lets all through, open nobody, half-open one."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Attempt:
    """One use; it ends well, badly, or unfinished, and only the first word counts."""

    def __init__(self, breaker: "Breaker", *, is_probe: bool) -> None:
        self._breaker: Breaker | None = breaker
        self.is_probe = is_probe

    def succeeded(self) -> None:
        """It went well, or failed by no fault of who was used."""
        if (breaker := self._ended()) is not None:
            breaker.note_success(self)

    def failed(self, why: str) -> None:
        """It went badly."""
        if (breaker := self._ended()) is not None:
            breaker.note_failure(self, why)

    def left(self) -> None:
        """It was given up before anything could be known, unless its end was told already."""
        if (breaker := self._ended()) is not None:
            breaker.note_left(self)

    def _ended(self) -> "Breaker | None":
        breaker, self._breaker = self._breaker, None
        return breaker


class Breaker:
    """The state of one provider."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        threshold: int = THRESHOLD,
        first_s: float = FIRST_S,
        longest_s: float = LONGEST_S,
    ) -> None:
        self._clock = clock
        self._threshold = threshold
        self._first_s = first_s
        self._longest_s = longest_s
        self._until_s = 0.0
        self._opened = 0
        self._probe: Attempt | None = None
        self.failures = 0
        self.why = ""

    @property
    def state(self) -> State:
        """What it is now."""
        if not self._opened:
            return State.CLOSED
        return State.OPEN if self.left_s else State.HALF_OPEN

    @property
    def left_s(self) -> float:
        """How long it stays open."""
        return max(self._until_s - self._clock(), 0.0) if self._opened else 0.0

    def enter(self, *, early: bool = False) -> Attempt | None:
        """Begin an attempt, or none when it is open, or tried by another; `early` is a try before its time is up."""
        if self.state is State.CLOSED:
            return Attempt(self, is_probe=False)
        if self._probe is not None or (self.state is State.OPEN and not early):
            return None
        self._probe = Attempt(self, is_probe=True)
        return self._probe

    def note_success(self, attempt: Attempt) -> None:
        """Close: whoever answers is well."""
        self.note_left(attempt)
        self.failures, self._opened, self.why = 0, 0, ""

    def note_failure(self, attempt: Attempt, why: str) -> None:
        """Count; open at the threshold, or again, for longer, when a probe failed."""
        is_probe = attempt is self._probe
        self.note_left(attempt)
        self.failures += 1
        self.why = why
        # What began before it opened says nothing new.
        if is_probe or (not self._opened and self.failures >= self._threshold):
            self._until_s = self._clock() + min(
                self._first_s * 2.0 ** min(self._opened, _MOST_DOUBLINGS), self._longest_s
            )
            self._opened += 1

    def note_left(self, attempt: Attempt) -> None:
        """Let another be the probe."""
        if attempt is self._probe:
            self._probe = None
