"""The moments `--since` takes: a date, a time of day, `today`, `yesterday`, or how long ago."""

import re
from contextlib import suppress
from datetime import datetime, timedelta

from ocg.errors import Code, OcgError

_AGO = re.compile(r"-?(\d{1,6})\s*(s|m|min|h|d)(?:\s+ago)?")
_UNITS = {"s": "seconds", "m": "minutes", "min": "minutes", "h": "hours", "d": "days"}
_FORMATS = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d")
_TIMES = ("%H:%M:%S", "%H:%M")


def moment(text: str, now: datetime) -> datetime:
    """Read a moment since 1970, in local time. Raises INVALID_REQUEST with what is understood."""
    with suppress(OverflowError, ValueError, OSError):  # a year that no clock has
        found = _moment(text, now)
        if found and found.timestamp() >= 0:
            return found
    raise OcgError(
        Code.INVALID_REQUEST,
        f"--since: {text!r} is no time",
        "give 10m, 2h, 1d, today, yesterday, 14:30 or 2026-01-31 14:30",
    )


def _moment(text: str, now: datetime) -> datetime | None:
    text = text.strip().replace("T", " ")
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if text in {"today", "yesterday"}:
        return midnight - timedelta(days=text == "yesterday")
    if ago := _AGO.fullmatch(text):
        return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    for form in _FORMATS:
        if found := _parsed(text, form):
            return found
    for form in _TIMES:
        if found := _parsed(text, form):
            return midnight.replace(hour=found.hour, minute=found.minute, second=found.second)
    return None


def _parsed(text: str, form: str) -> datetime | None:
    try:
        return datetime.strptime(text, form)  # noqa: DTZ007 - local time is meant, as in the log
    except ValueError:
        return None
