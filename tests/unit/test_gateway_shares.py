"""Shares: no token for a tool takes from others what all of them need, and the owner has the rest."""

import contextlib

import pytest

from ocg.errors import Code, OcgError
from ocg.gateway.caller import OWNER, Caller
from ocg.gateway.shares import Shares

_TOOLS = [Caller(f"tool-{number}", frozenset({"chat"})) for number in range(3)]


def _is_refused(shares: Shares, caller: Caller, amount: int) -> bool:
    try:
        with shares.open(caller) as take:
            take(amount)
    except OcgError as error:
        return error.code is Code.BUSY
    return False


def test_a_token_has_a_quarter_and_all_of_them_half() -> None:
    shares = Shares(16)
    with shares.open(_TOOLS[0]) as first, shares.open(_TOOLS[0]) as again, shares.open(_TOOLS[1]) as second:
        first(3)
        assert _is_refused(shares, _TOOLS[0], 2)
        again(1)
        second(4)
        assert _is_refused(shares, _TOOLS[0], 1)
        assert _is_refused(shares, _TOOLS[2], 1)
        assert not _is_refused(shares, OWNER, 8)
        assert _is_refused(shares, OWNER, 9)


def test_what_the_owner_takes_is_no_tools_and_never_more_than_all() -> None:
    shares = Shares(16)
    with shares.open(OWNER) as take:
        take(13)
        assert not _is_refused(shares, _TOOLS[0], 3)
        assert _is_refused(shares, _TOOLS[0], 4)


def test_whatever_happens_it_is_given_back() -> None:
    shares = Shares(4)
    for _ in range(3):
        with contextlib.suppress(ValueError), shares.open(OWNER) as take:
            take(2)
            take(2)
            raise ValueError
    with pytest.raises(OcgError), shares.open(OWNER) as take:
        take(5)
    assert not _is_refused(shares, OWNER, 4)
