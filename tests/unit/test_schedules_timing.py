"""When schedules are due: what may be written, and the days on which clocks change."""

import datetime as dt
import os
import time
import zoneinfo
from collections.abc import Iterator
from itertools import pairwise

import pytest

from ocg.agent.schedules import timing
from ocg.agent.zones import LocalZone
from ocg.errors import Code, OcgError

PARIS = "Europe/Paris"
UTC = dt.UTC


def moment(text: str, zone: str = "UTC") -> float:
    """Read a moment as a zone's clocks show it."""
    return dt.datetime.fromisoformat(text).replace(tzinfo=zoneinfo.ZoneInfo(zone)).timestamp()


def due(when: str, since: str, *, times: int = 1, zone: str = "UTC") -> list[str]:
    """Return when something is due, in UTC; `since` is in UTC as well."""
    at = moment(since)
    found = timing.read(when, zone, at)
    texts: list[str] = []
    for _ in range(times):
        after = found.after(at)
        if after is None:
            return texts
        at = after
        texts.append(f"{dt.datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M}")
    return texts


@pytest.mark.parametrize(
    ("when", "wanted"),
    [
        ("0 8 * * 1-5", ["2026-11-30 08:00", "2026-12-01 08:00"]),
        ("*/20 * * * *", ["2026-11-28 12:20", "2026-11-28 12:40"]),
        ("0 9 1 jan,jul *", ["2027-01-01 09:00", "2027-07-01 09:00"]),
        ("@daily", ["2026-11-29 00:00", "2026-11-30 00:00"]),
        ("0 0 29 2 *", ["2028-02-29 00:00", "2032-02-29 00:00"]),
        ("every 15m", ["2026-11-28 12:15", "2026-11-28 12:30"]),
        ("Every 2 hours", ["2026-11-28 14:00", "2026-11-28 16:00"]),
        ("every day", ["2026-11-29 12:00", "2026-11-30 12:00"]),
        ("in 20m", ["2026-11-28 12:20"]),
        ("in 90 s", ["2026-11-28 12:01"]),
        ("at 2026-12-01 09:00", ["2026-12-01 09:00"]),
        ("at 2026-12-01T09:00:30", ["2026-12-01 09:00"]),
        ("at 2026-11-28 12:00", []),
    ],
)
def test_each_form_is_understood(when: str, wanted: list[str]) -> None:
    assert due(when, "2026-11-28 12:00", times=2) == wanted


@pytest.mark.parametrize(
    "when",
    [
        "", "soon", "* * * *", "* * * * * *", "61 * * * *", "0 0 30 2 *", "*/0 * * * *", "@reboot", "every",
        "every 30s", "every 0m", "every 15 fortnights", "every 999999w", "in 0s", "at 9 o'clock", "at 2026-02-30 09:00",
        "at 2026-12-01 25:00", "at 2026-12-01", "every -5m", "every 15m 3", "every ١٥m", "0 0 * * mon#9",
    ],
)  # fmt: skip
def test_what_is_no_time_is_refused_with_what_to_write_instead(when: str) -> None:
    with pytest.raises(OcgError) as caught:
        timing.read(when, "", 0.0)
    assert caught.value.code is Code.INVALID_REQUEST
    assert caught.value.param == "when"
    assert caught.value.hint


@pytest.mark.parametrize("zone", ["Europe/Atlantis", "../../etc/passwd", "/etc/passwd", "Europe"])
def test_what_is_no_zone_is_refused(zone: str) -> None:
    with pytest.raises(OcgError) as caught:
        timing.read("@daily", zone, 0.0)
    assert (caught.value.code, caught.value.param) == (Code.INVALID_REQUEST, "zone")


def test_a_time_that_clocks_leave_out_is_due_behind_the_gap_and_not_the_day_after_only() -> None:
    # On 2027-03-28 clocks in Paris go from 02:00 to 03:00.
    wanted = ["2027-03-27 01:30", "2027-03-28 01:00", "2027-03-29 00:30"]
    assert due("30 2 * * *", "2027-03-27 00:00", times=3, zone=PARIS) == wanted
    assert due("at 2027-03-28 02:30", "2027-03-27 00:00", zone=PARIS) == ["2027-03-28 01:30"]


def test_a_time_that_comes_twice_is_due_once_even_when_asked_for_between_the_two() -> None:
    # On 2026-10-25 clocks in Paris go from 03:00 back to 02:00.
    wanted = ["2026-10-25 00:30", "2026-10-26 01:30"]
    assert due("30 2 * * *", "2026-10-24 12:00", times=2, zone=PARIS) == wanted
    assert due("30 2 * * *", "2026-10-25 01:10", zone=PARIS) == ["2026-10-26 01:30"]


@pytest.mark.parametrize("day", ["2026-10-25 00:00", "2027-03-28 00:00"])
def test_what_is_due_every_so_many_minutes_goes_on_however_clocks_change(day: str) -> None:
    for when in ("*/15 * * * *", "every 15m"):
        times = [dt.datetime.fromisoformat(one) for one in due(when, day, times=20, zone=PARIS)]
        assert {later - earlier for earlier, later in pairwise(times)} == {dt.timedelta(minutes=15)}


@pytest.fixture
def paris() -> Iterator[None]:
    """Have this machine be in Paris."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(os.environ, "TZ", PARIS)
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("paris")
def test_the_machines_own_zone_is_as_good_as_one_by_name() -> None:
    named, own = zoneinfo.ZoneInfo(PARIS), LocalZone()
    for day in ("2026-10-24 22:00", "2027-03-27 22:00", "2026-07-01 00:00"):
        for minutes in range(0, 480, 30):
            at = moment(day) + 60 * minutes
            there, here = dt.datetime.fromtimestamp(at, named), dt.datetime.fromtimestamp(at, own)
            assert f"{here:%c %z %Z}" == f"{there:%c %z %Z}"
            assert (here.fold, here.timestamp()) == (there.fold, at)
    for when in ("30 2 * * *", "*/20 2,3 * * *", "0 */2 * * *"):
        for since in ("2026-10-24 12:00", "2027-03-27 12:00"):
            assert due(when, since, times=20, zone="") == due(when, since, times=20, zone=PARIS)
