"""Rate limits: so many at once, each making room at its own time, by the narrowest limit that is set for a key."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocg.errors import Code, OcgError
from ocg.gateway.admission import headers
from ocg.gateway.limits import FILE, Limits, Verdict
from ocg.gateway.rate import Rate
from ocg.lifecycle.worker import Worker
from ocg.protocol import wire
from ocg.protocol.access import RateLimit

SECOND = 1_000_000_000


class Clock:
    """The time, in nanoseconds."""

    now_ns = 0

    def __call__(self) -> int:
        return self.now_ns


@pytest.fixture
async def worker() -> AsyncIterator[Worker]:
    found = Worker("test")
    yield found
    await found.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def limits(tmp_path: Path, worker: Worker, clock: Clock) -> Limits:
    found = await Limits.load(tmp_path, worker)
    found._now_ns = clock
    return found


def _allowed(limits: Limits, *keys: str) -> bool:
    return limits.check(keys).is_allowed


async def test_nothing_is_limited_unless_somebody_says_so(limits: Limits) -> None:
    assert all(_allowed(limits, "token:laptop") for _ in range(1000))
    assert headers(limits.check(["token:laptop"])) == {}


async def test_so_many_at_once_and_each_makes_room_at_its_own_time(limits: Limits, clock: Clock) -> None:
    await limits.put("token:laptop", Rate.read("3/min"))
    assert [_allowed(limits, "token:laptop") for _ in range(4)] == [True, True, True, False]
    clock.now_ns = 20 * SECOND - 1
    assert not _allowed(limits, "token:laptop")
    clock.now_ns = 20 * SECOND
    assert [_allowed(limits, "token:laptop") for _ in range(2)] == [True, False]
    clock.now_ns = 3600 * SECOND
    assert [_allowed(limits, "token:laptop") for _ in range(4)] == [True, True, True, False]


async def test_the_answer_says_how_the_caller_stands(limits: Limits, clock: Clock) -> None:
    await limits.put("token:laptop", Rate.read("3/min"))
    assert headers(limits.check(["token:laptop"])) == {
        "RateLimit-Policy": '"token:laptop";q=3;w=60',
        "RateLimit": '"token:laptop";r=2;t=20',
        "x-ratelimit-limit-requests": "3",
        "x-ratelimit-remaining-requests": "2",
        "x-ratelimit-reset-requests": "20s",
    }
    clock.now_ns = 5 * SECOND
    limits.check(["token:laptop"])
    limits.check(["token:laptop"])
    refused = limits.check(["token:laptop"])
    found = headers(refused)
    assert (found["RateLimit"], found["Retry-After"]) == ('"token:laptop";r=0;t=15', "15")
    assert found["x-ratelimit-reset-requests"] == "55s"
    with pytest.raises(OcgError, match="ask again in 15 s") as caught:
        refused.check()
    assert caught.value.code is Code.RATE_LIMIT


async def test_several_at_once_count_as_many_or_none_of_them_does(limits: Limits, clock: Clock) -> None:
    await limits.put("token:laptop", Rate.read("4/min"))
    assert limits.check(["token:laptop"], 3).standings[0].left == 1
    refused = limits.check(["token:laptop"], 3)
    assert (refused.is_allowed, refused.wait_s, refused.standings[0].left) == (False, 30, 1)
    assert limits.check(["token:laptop"], 3, counted=1).wait_s == 15, "and the one that was counted is no longer"
    clock.now_ns = 15 * SECOND
    assert limits.check(["token:laptop"], 3).standings[0].left == 0
    assert limits.check(["token:laptop"], 3, counted=3).standings[0].left == 0
    clock.now_ns = 60 * SECOND
    never = limits.check(["token:laptop"], 5, counted=1)
    assert "Retry-After" not in headers(never)
    with pytest.raises(OcgError, match="ask for no more than 4 at once"):
        never.check()
    assert limits.check(["token:laptop"]).is_allowed, "what is refused is not counted"


async def test_the_narrowest_limit_counts_and_each_that_it_is_for_has_a_bucket_of_its_own(limits: Limits) -> None:
    await limits.put("sender:*", Rate.read("1/h"))
    await limits.put("sender:telegram:*", Rate.read("2/h"))
    await limits.put("sender:telegram:7", Rate.read("3/h"))
    for key, count in (
        ("sender:telegram:7", 3),
        ("sender:telegram:8", 2),
        ("sender:telegram:9", 2),
        ("sender:irc:a", 1),
    ):
        assert [_allowed(limits, key) for _ in range(4)].count(True) == count, key
    assert _allowed(limits, "channel:telegram")


async def test_one_limit_that_forbids_it_charges_no_other(limits: Limits) -> None:
    await limits.put("channel:irc", Rate.read("5/h"))
    await limits.put("sender:irc:a", Rate.read("1/h"))
    both = ("channel:irc", "sender:irc:a")
    assert [_allowed(limits, *both) for _ in range(10)].count(True) == 1
    verdict = limits.check(both)
    assert verdict.tightest is not None
    assert verdict.tightest.key == "sender:irc:a"
    assert [_allowed(limits, "channel:irc") for _ in range(10)].count(True) == 4


async def test_limits_are_kept_and_lifted(tmp_path: Path, worker: Worker, limits: Limits) -> None:
    await limits.put("token:*", Rate.read("1/day"))
    assert [_allowed(limits, "token:a") for _ in range(2)] == [True, False]
    again = await Limits.load(tmp_path, worker)
    assert again.items() == (RateLimit(key="token:*", rate="1/day"),)
    await limits.put("token:*", Rate.read("2/day"))
    assert _allowed(limits, "token:a"), "a new rate begins anew"
    await limits.remove("token:*")
    assert _allowed(limits, "token:a")
    assert json.loads((tmp_path / FILE).read_text()) == {"limits": []}
    with pytest.raises(OcgError) as caught:
        await limits.remove("token:*")
    assert caught.value.code is Code.NOT_FOUND


async def test_senders_without_end_take_no_memory_without_end(limits: Limits, clock: Clock) -> None:
    await limits.put("sender:*", Rate.read("1/min"))
    for number in range(20_001):
        clock.now_ns += SECOND // 1000
        assert _allowed(limits, f"sender:irc:{number}")
    assert len(limits._empty_ns) <= 10_000
    assert not _allowed(limits, "sender:irc:20000"), "the newest are the ones that are kept"


async def test_a_file_with_a_rate_that_is_none_is_damaged(tmp_path: Path, worker: Worker) -> None:
    (tmp_path / FILE).write_text('{"limits": [{"key": "token:a", "rate": "often"}]}')
    with pytest.raises(OcgError) as caught:
        await Limits.load(tmp_path, worker)
    assert caught.value.code is Code.DATA_DAMAGED


@pytest.mark.parametrize(
    ("text", "rate"),
    [("60/min", "60/min"), (" 1000 / Day ", "1000/day"), ("5/second", "5/s"), ("7/hour", "7/h"), ("1/d", "1/day")],
)
def test_a_rate_is_read_as_people_write_it(text: str, rate: str) -> None:
    assert str(Rate.read(text)) == rate


@pytest.mark.parametrize("text", ["", "60", "0/min", "-1/min", "1.5/min", "60/fortnight", "60/min/min", "12345678/s"])
def test_what_is_no_rate_is_named(text: str) -> None:
    with pytest.raises(OcgError) as caught:
        Rate.read(text)
    assert caught.value.param == "rate"


@pytest.mark.parametrize(
    ("key", "fits"),
    [
        ("token:laptop", True),
        ("token:*", True),
        ("channel:telegram", True),
        ("sender:*", True),
        ("sender:telegram:*", True),
        ("sender:matrix:@a/b:example.org", True),
        ("sender:telegram", False),
        ("token:", False),
        ("token:a:b", False),
        ("other:a", False),
        ("sender:irc:a b", False),
        ("token:a\n", False),
        ("sender:irc:" + "x" * 300, False),
    ],
)
def test_keys_are_of_tokens_channels_and_senders(key: str, fits: bool) -> None:  # noqa: FBT001 - what the table says
    try:
        wire.decode(RateLimit, json.dumps({"key": key, "rate": "1/s"}))
    except OcgError:
        assert not fits
    else:
        assert fits


@given(count=st.integers(1, 50), window=st.sampled_from([1, 60, 86400]), gaps=st.lists(st.integers(0, 90), max_size=80))
def test_no_window_ever_has_more_than_twice_the_rate_and_what_is_said_is_true(
    count: int, window: int, gaps: list[int]
) -> None:
    clock = Clock()
    limits = Limits(None, {"token:a": Rate(count, window)}, now_ns=clock)  # type: ignore[arg-type] # nothing is saved
    passed: list[int] = []
    before: Verdict | None = None
    for gap in gaps:
        clock.now_ns += gap * window * SECOND // 100
        verdict = limits.check(["token:a"])
        (standing,) = verdict.standings
        if before is not None and gap == 0:
            assert verdict.is_allowed == (before.standings[0].left > 0)
        if verdict.is_allowed:
            passed.append(clock.now_ns)
        else:
            assert standing.left == 0
            assert 0 < standing.more_s <= window / count
        assert len([at for at in passed if at > clock.now_ns - window * SECOND]) <= 2 * count
        before = verdict
