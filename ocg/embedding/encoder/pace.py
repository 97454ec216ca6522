"""How many threads a batch is best computed with, learned from how long batches take.

All cores are faster for one text as long as nobody else wants them. Where somebody does, each step of the model waits
for the thread that was put off: beside compilers on both of two cores a short text took 4 times as long with two
threads as with one.
"""

_NEW = 0.2  # the weight of the last measurement; one that is better counts at once, as what disturbs makes only slower
_TRIES = (8, 256)  # batches until the worse choice is tried again: at first, and at the most


class Pace:
    """Measured seconds by size of batch and number of threads. A lane that has all cores for itself asks it."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._seconds: dict[tuple[int, int], float] = {}
        self._waits: dict[int, tuple[int, int]] = {}  # batches left until the next try, and then until the one after

    def choose(self, tokens: int) -> int:
        """Return the number of threads for a batch: one, or as many as there are."""
        kind = tokens.bit_length()
        one, most = self._seconds.get((kind, 1)), self._seconds.get((kind, self._most))
        if one is None or most is None:
            return 1 if one is None and most is not None else self._most
        better, other = (1, self._most) if one < most else (self._most, 1)
        left, following = self._waits.get(kind, _TRIES[:1] * 2)
        self._waits[kind] = (left - 1, following) if left else (following, min(2 * following, _TRIES[1]))
        return better if left else other

    def learn(self, tokens: int, threads: int, seconds: float) -> None:
        """Take a measurement in."""
        kind = tokens.bit_length()
        a_token = seconds / tokens
        before = self._seconds.get((kind, threads), a_token)
        was_better = self._is_better(kind, threads)
        self._seconds[kind, threads] = min(a_token, before + _NEW * (a_token - before))
        if self._is_better(kind, threads) != was_better:  # the tide has turned: look more often
            self._waits.pop(kind, None)

    def _is_better(self, kind: int, threads: int) -> bool:
        other = 1 if threads != 1 else self._most
        infinite = float("inf")
        return self._seconds.get((kind, threads), infinite) < self._seconds.get((kind, other), infinite)
