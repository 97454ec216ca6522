"""When a schedule is due: `0 8 * * 1-5`, `@daily`, `every 15m`, `in 20m`, `at 2026-12-01 09:00`."""

import datetime as dt
import re
from dataclasses import dataclass
from typing import Protocol

from ocg.agent.zones import zone_of
from ocg.errors import Code, OcgError

_WORDS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_FIELDS = 5
_SPAN = re.compile(r"(every|in)\s+(\d{0,6})\s*([a-z]+)", re.ASCII)
_UNITS = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1),
    **dict.fromkeys(("m", "min", "minute", "minutes"), 60),
    **dict.fromkeys(("h", "hour", "hours"), 3600),
    **dict.fromkeys(("d", "day", "days"), 86400),
    **dict.fromkeys(("w", "week", "weeks"), 7 * 86400),
}
_SHORTEST_S = 60
_LONGEST_S = 3660 * 86400
_AT = re.compile(r"at\s+(\d{4}-\d\d-\d\d)[ t](\d\d:\d\d(?::\d\d)?)", re.ASCII)
_HINT = "give five fields of cron, every 15m, in 20m, or at 2026-12-01 09:00"


class Timing(Protocol):
    """Tells when something is due."""

    def after(self, moment: float) -> float | None:
        """Return the first time after a moment, if there is one."""


@dataclass(frozen=True, slots=True)
class Cron:
    """As Debian's cron does it.

    Where clocks are put forward, what falls into the gap is due behind it; where they are put back, what has an hour of
    its own is due once, and what is due every so many minutes goes on.
    """

    expression: str
    zone: dt.tzinfo

    def after(self, moment: float) -> float | None:
        """See Timing."""
        from cronsim import CronSim  # noqa: PLC0415 - not needed before there are schedules

        for found in CronSim(self.expression, dt.datetime.fromtimestamp(moment, self.zone)):
            # In an hour that comes twice, a time of its first coming may be told in the second.
            if (due := found.timestamp()) > moment:
                return due
        return None


@dataclass(frozen=True, slots=True)
class Every:
    """Every so many seconds from a moment on, whatever clocks show."""

    seconds: int
    since: float

    def after(self, moment: float) -> float | None:
        """See Timing."""
        done = max((moment - self.since) // self.seconds, 0)
        return self.since + (done + 1) * self.seconds


@dataclass(frozen=True, slots=True)
class Once:
    """At one moment."""

    moment: float

    def after(self, moment: float) -> float | None:
        """See Timing."""
        return self.moment if self.moment > moment else None


def read(text: str, zone: str, since: float) -> Timing:
    """Read when something is due; `every` and `in` count from `since`. Raises INVALID_REQUEST."""
    place, words = zone_of(zone), " ".join(text.lower().split())
    if span := _SPAN.fullmatch(words):
        return _span(span[1], int(span[2] or 1), span[3], since)
    if at := _AT.fullmatch(words):
        return Once(_moment(f"{at[1]} {at[2]}", place))
    return _cron(text, words, place)


def _span(word: str, number: int, unit: str, since: float) -> Timing:
    if unit not in _UNITS:
        raise _wrong(f"{unit!r} is no unit of time", "give s, m, h, d or w")
    seconds = number * _UNITS[unit]
    if word == "in" and 0 < seconds <= _LONGEST_S:
        return Once(float(int(since + seconds)))
    if not _SHORTEST_S <= seconds <= _LONGEST_S:
        raise _wrong(f"every {seconds} s is out of bounds", "give a minute at the least, and ten years at the most")
    return Every(seconds, since)


def _moment(text: str, zone: dt.tzinfo) -> float:
    try:
        # A time that clocks leave out is as much later as they are put forward.
        found = dt.datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()
    except (ValueError, OverflowError, OSError) as error:
        raise _wrong(f"{text!r} is no time: {error}", _HINT) from None
    return found


def _cron(text: str, words: str, zone: dt.tzinfo) -> Timing:
    from cronsim import CronSim, CronSimError  # noqa: PLC0415 - as above

    expression = _WORDS.get(words, words)
    if len(expression.split()) != _FIELDS:
        raise _wrong(f"{text!r} is no time", _HINT)
    try:
        CronSim(expression, dt.datetime.now(dt.UTC))
    except CronSimError as error:
        raise _wrong(f"{text!r} is not an expression of cron: {error}", _HINT) from None
    return Cron(expression, zone)


def _wrong(why: str, hint: str) -> OcgError:
    return OcgError(Code.INVALID_REQUEST, f"when: {why}", hint, param="when")
