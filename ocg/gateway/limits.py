"""Rate limits: how often a token, a channel or a sender may have work done.

None is there unless somebody sets it. What was used of them is in memory alone: a restart begins anew.
"""

import asyncio
import itertools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from ocg.errors import Code, OcgError
from ocg.gateway.kept import Kept
from ocg.gateway.rate import SECOND_NS, Rate, Standing, standing
from ocg.lifecycle.worker import Worker
from ocg.protocol.access import RateLimit, RateLimitList

FILE = "ratelimits.json"
_MAX_LIMITS = 1024
_MAX_BUCKETS = 10_000
_STOPS = Rate(60, 60)
# A bucket is another once its rate is.
_Bucket = tuple[str, Rate]


@dataclass(frozen=True, slots=True)
class Verdict:
    """How long something has to wait, for ever perhaps, and how each bucket it counts against is doing."""

    wait_s: float
    standings: tuple[Standing, ...]

    @property
    def is_allowed(self) -> bool:
        """Whether it may be done now."""
        return self.wait_s == 0

    @property
    def tightest(self) -> Standing | None:
        """The bucket that will refuse first, or refuses longest."""
        return min(self.standings, key=lambda one: (one.left, -one.more_s), default=None)

    def check(self) -> None:
        """Raise RATE_LIMIT, with how long to wait, unless it is allowed."""
        if not self.is_allowed and (one := self.tightest) is not None:
            hint = f"ask for no more than {one.rate.count} at once"
            if self.wait_s < math.inf:
                hint = f"ask again in {math.ceil(self.wait_s)} s"
            raise OcgError(Code.RATE_LIMIT, f"{one.key} is limited to {one.rate}", hint)


class Limits:
    """Keeps the limits, and counts."""

    def __init__(
        self, kept: Kept[RateLimitList], rates: dict[str, Rate], *, now_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._kept = kept
        self._rates = rates
        self._now_ns = now_ns
        self._empty_ns: dict[_Bucket, int] = {}
        self._changing = asyncio.Lock()

    @classmethod
    async def load(cls, data_dir: Path, worker: Worker) -> Self:
        """Read what is kept. Raises DATA_DAMAGED, and what keeps a file from being read."""
        kept = Kept(data_dir / FILE, RateLimitList, worker)
        found = await kept.load() or RateLimitList(limits=())
        try:
            return cls(kept, {one.key: Rate.read(one.rate) for one in found.limits})
        except OcgError as error:
            raise OcgError(Code.DATA_DAMAGED, f"{data_dir / FILE}: {error.message}", error.hint) from None

    def check(self, keys: Sequence[str], number: int = 1, *, counted: int = 0) -> Verdict:
        """Count so many against the limit of each key, such as `token:laptop`, unless one of them forbids it.

        `counted` says how many of them were before; where one forbids it, they no longer are.
        """
        if not self._rates:
            return Verdict(wait_s=0, standings=())
        buckets = [(key, rate) for key in keys if (rate := self._rate_of(key)) is not None]
        return self._count(buckets, number, counted=counted)

    def check_stop(self, keys: Sequence[str]) -> Verdict:
        """Count a /stop, which no limit keeps out, but which may not come without end either."""
        return self._count([(f"/stop of {key}", _STOPS) for key in keys])

    def _count(self, buckets: Sequence[_Bucket], number: int = 1, *, counted: int = 0) -> Verdict:
        now_ns = self._now_ns()
        empty_ns = {one: max(self._empty_ns.get(one, 0) - counted * one[1].apart_ns, now_ns) for one in buckets}
        wait_s = max((_wait_s(one[1], number, at_ns - now_ns) for one, at_ns in empty_ns.items()), default=0)
        for one, at_ns in empty_ns.items():
            self._put(one, at_ns if wait_s else at_ns + number * one[1].apart_ns, now_ns)
        return Verdict(wait_s, tuple(standing(*one, self._empty_ns.get(one, 0), now_ns) for one in buckets))

    def items(self) -> tuple[RateLimit, ...]:
        """List the limits, by their keys."""
        return tuple(RateLimit(key=key, rate=str(rate)) for key, rate in sorted(self._rates.items()))

    async def put(self, key: str, rate: Rate) -> None:
        """Set a limit; it is on the disk on return. Raises CONFLICT when there are too many."""
        async with self._changing:
            if key not in self._rates and len(self._rates) >= _MAX_LIMITS:
                raise OcgError(Code.CONFLICT, f"there are {_MAX_LIMITS} rate limits", "ocg ratelimit rm KEY")
            await self._save(self._rates | {key: rate})

    async def remove(self, key: str) -> None:
        """Lift a limit. Raises NOT_FOUND."""
        async with self._changing:
            if key not in self._rates:
                raise OcgError(Code.NOT_FOUND, f"{key[:256]} has no rate limit", "ocg ratelimit list")
            await self._save({one: rate for one, rate in self._rates.items() if one != key})

    async def _save(self, rates: dict[str, Rate]) -> None:
        limits = tuple(RateLimit(key=key, rate=str(rate)) for key, rate in sorted(rates.items()))
        await self._kept.save(RateLimitList(limits=limits))
        self._rates = rates

    def _rate_of(self, key: str) -> Rate | None:
        return next((self._rates[name] for name in _names(key) if name in self._rates), None)

    def _put(self, bucket: _Bucket, empty_ns: int, now_ns: int) -> None:
        """Keep a bucket; past the limit, empty ones go first and then the oldest."""
        self._empty_ns.pop(bucket, None)
        self._empty_ns[bucket] = empty_ns
        if len(self._empty_ns) > _MAX_BUCKETS:
            self._empty_ns = {one: at_ns for one, at_ns in self._empty_ns.items() if at_ns > now_ns}
            surplus = len(self._empty_ns) - _MAX_BUCKETS * 9 // 10
            for one in list(itertools.islice(self._empty_ns, max(surplus, 0))):
                del self._empty_ns[one]


def _wait_s(rate: Rate, number: int, used_ns: int) -> float:
    """Return how long so many have to wait; for ever, where they are more than may come at once."""
    if number > rate.count:
        return math.inf
    return max(used_ns - (rate.count - number) * rate.apart_ns, 0) / SECOND_NS


def _names(key: str) -> Iterator[str]:
    """Give the names a limit of a key may have: its own, then those with `*` that it is one of, the narrowest first."""
    yield key
    while cut := key.rpartition(":")[0]:
        yield f"{cut}:*"
        key = cut
