"""How many threads a batch is best computed with, learned from how long batches take.

All cores are faster for one text as long as nobody else wants them. Where somebody does, each step of the model waits
for the thread that was put off: beside compilers on both of two cores a short text took 4 times as long with two
threads as with one.
"""

_NEW = 0.2  # the weight of the last measurement
_BETWEEN_TRIES = 32  # batches; the worse choice is tried again after so many, and later the worse it was


class Pace:
    """Measured seconds by size of batch and number of threads. A lane that has all cores for itself asks it."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._seconds: dict[tuple[int, int], float] = {}
        self._left: dict[int, int] = {}

    def choose(self, tokens: int) -> int:
        """Return the number of threads for a batch: one, or as many as there are."""
        kind = tokens.bit_length()
        one, most = self._seconds.get((kind, 1)), self._seconds.get((kind, self._most))
        if one is None or most is None:
            return 1 if one is None and most is not None else self._most
        better, other = (1, self._most) if one < most else (self._most, 1)
        left = self._left.get(kind, _BETWEEN_TRIES)
        if left:
            self._left[kind] = left - 1
            return better
        self._left[kind] = int(_BETWEEN_TRIES * max(one, most) / min(one, most))
        return other

    def learn(self, tokens: int, threads: int, seconds: float) -> None:
        """Take a measurement in."""
        key = tokens.bit_length(), threads
        a_token = seconds / tokens
        before = self._seconds.get(key, a_token)
        self._seconds[key] = before + _NEW * (a_token - before)
