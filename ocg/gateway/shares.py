"""What all callers share, such as connections and memory, so divided that no token for a tool takes it from others."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ocg.errors import Code, OcgError
from ocg.gateway.caller import OWNER, Caller


class Shares:
    """A bounded amount. A named token has a quarter of it, all of them together half; the rest is the owner's."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._taken: Counter[str] = Counter()

    @contextmanager
    def open(self, caller: Caller) -> Iterator[Callable[[int], None]]:
        """Give what takes more for a caller, and raises BUSY where there is no more; at the end it is given back."""
        own = 0

        def take(amount: int) -> None:
            nonlocal own
            self._check(caller, amount)
            own += amount
            self._taken[caller.name] += amount

        try:
            yield take
        finally:
            self._taken[caller.name] -= own
            if not self._taken[caller.name]:
                del self._taken[caller.name]

    def _check(self, caller: Caller, more: int) -> None:
        total = self._taken.total() + more
        is_full = total > self._total
        if caller.name != OWNER.name:
            named = total - self._taken[OWNER.name]
            is_full |= named > self._total // 2 or self._taken[caller.name] + more > self._total // 4
        if is_full:
            raise OcgError(Code.BUSY, "too much goes on at once", "wait for some of it to end, or ask for less")
