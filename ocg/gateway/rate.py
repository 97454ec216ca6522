"""How often something may happen, and whether it may now: the generic cell rate algorithm (GCRA).

It is the leaky bucket as a meter, ITU-T I.371 annex A. Of each bucket one number is kept: when it will be empty. So
many may come at once, and each makes room again at its own time; no window begins anew for all at once.
"""

import re
from dataclasses import dataclass
from typing import Self

from ocg.errors import Code, OcgError

SECOND_NS = 1_000_000_000
_UNITS = {"s": 1, "min": 60, "h": 3600, "day": 86400}
_NAMES = {"sec": "s", "second": "s", "m": "min", "minute": "min", "hour": "h", "d": "day"}
_TEXT = re.compile(r"([1-9][0-9]{0,6}) ?/ ?([a-z]+)")


@dataclass(frozen=True, slots=True)
class Rate:
    """So many in so many seconds."""

    count: int
    window_s: int

    @classmethod
    def read(cls, text: str) -> Self:
        """Read such as 60/min or 1000/day. Raises INVALID_REQUEST."""
        found = _TEXT.fullmatch(text.strip().lower())
        unit = _NAMES.get(found[2], found[2]) if found else ""
        if found is None or unit not in _UNITS:
            raise OcgError(
                Code.INVALID_REQUEST,
                f"rate: expected such as 60/min or 1000/day, found {text[:40]!r}",
                f"a number up to 9999999, a slash, and one of {', '.join(_UNITS)}",
                param="rate",
            )
        return cls(int(found[1]), _UNITS[unit])

    def __str__(self) -> str:
        """As it is read."""
        return f"{self.count}/{next(name for name, seconds in _UNITS.items() if seconds == self.window_s)}"

    @property
    def apart_ns(self) -> int:
        """How far apart they are when they come evenly."""
        return self.window_s * SECOND_NS // self.count


@dataclass(frozen=True, slots=True)
class Standing:
    """How a bucket is doing: `left` may come at once, one more in `more_s`, as many as ever in `all_s`."""

    key: str
    rate: Rate
    left: int
    more_s: float
    all_s: float


def standing(key: str, rate: Rate, empty_ns: int, now_ns: int) -> Standing:
    """Say how a bucket is doing that will be empty then."""
    used_ns = max(empty_ns - now_ns, 0)
    left = max(rate.count - -(-used_ns // rate.apart_ns), 0)
    more_ns = used_ns - (rate.count - left - 1) * rate.apart_ns if used_ns else 0
    return Standing(key, rate, left, more_ns / SECOND_NS, used_ns / SECOND_NS)
