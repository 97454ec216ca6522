"""Time zones: by name, or this machine's own with the days on which its clocks change."""

import datetime as dt
import zoneinfo

from ocg.errors import Code, OcgError


class LocalZone(dt.tzinfo):
    """The machine's own zone by its C library's rules; `astimezone()` alone gives one that knows no summer time."""

    def utcoffset(self, moment: dt.datetime | None) -> dt.timedelta | None:
        """Return how far it is from UTC then."""
        return None if moment is None else moment.replace(tzinfo=None).astimezone().utcoffset()

    def dst(self, moment: dt.datetime | None) -> dt.timedelta | None:
        """Nobody asks for it; Python wants it to be there."""
        del moment
        return None

    def tzname(self, moment: dt.datetime | None) -> str | None:
        """Return what people call it then."""
        return None if moment is None else moment.replace(tzinfo=None).astimezone().tzname()

    def fromutc(self, moment: dt.datetime) -> dt.datetime:
        """Return what the clocks show; of an hour that comes twice, whether it is the second."""
        shown = moment.replace(tzinfo=dt.UTC).astimezone()
        is_first = shown.replace(tzinfo=None).astimezone().utcoffset() == shown.utcoffset()
        return shown.replace(tzinfo=self, fold=0 if is_first else 1)


def zone_of(name: str) -> dt.tzinfo:
    """Return a zone by its IANA name, the machine's own where it is empty. Raises INVALID_REQUEST."""
    try:
        return zoneinfo.ZoneInfo(name) if name else LocalZone()
    except (OSError, ValueError, zoneinfo.ZoneInfoNotFoundError):
        hint = "use an IANA name such as Europe/Paris"
        raise OcgError(Code.INVALID_REQUEST, f"no time zone {name!r}", hint, param="zone") from None
