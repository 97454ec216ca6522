"""Signing in: codes work once and not for long, cookies cannot be made without the token, guessing is slow."""

import asyncio
import time

import pytest

from ocg.errors import Code, OcgError
from ocg.gateway import brake
from ocg.gateway.access import Access, LoginRequest
from ocg.gateway.tokens import Tokens
from ocg.protocol import login

TOKEN = "the-token"
PEER = "192.0.2.7"
NOW = 1_800_000_000.25


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the brake its mechanics, not its length."""
    monkeypatch.setattr(brake, "_DELAY_S", 0.05)


def _refused(code: str, now_s: float = NOW, *, token: str = TOKEN, not_before_s: float = 0.0) -> bool:
    try:
        login.check_code(token, code, now_s, not_before_s=not_before_s)
    except OcgError as error:
        return error.code is Code.UNAUTHORIZED
    return False


def test_a_code_is_good_for_ten_minutes_and_not_a_moment_longer() -> None:
    code = login.new_code(TOKEN, NOW)
    assert not _refused(code)
    assert not _refused(code, NOW + 599.9)
    assert _refused(code, NOW + 600.1)


def test_a_code_from_before_the_memory_of_used_ones_is_refused() -> None:
    code = login.new_code(TOKEN, NOW)
    assert not _refused(code, not_before_s=NOW)
    assert _refused(code, not_before_s=NOW + 0.01)


@pytest.mark.parametrize("wrong", ["", ".", "..", "1.2.3", "x" * 10_000, "99999999999999.abc.def", "é.é.é"])
def test_what_is_no_code_is_refused(wrong: str) -> None:
    assert _refused(wrong)


def test_a_code_with_a_later_expiry_or_of_another_token_is_refused() -> None:
    expiry, nonce, mac = login.new_code(TOKEN, NOW).split(".")
    assert _refused(f"{int(expiry) + 1}.{nonce}.{mac}")
    assert _refused(f"{expiry}.{nonce}x.{mac}")
    assert _refused(login.new_code("another", NOW))
    assert _refused(login.new_code("", NOW), token="")


def test_a_code_is_no_cookie_and_a_cookie_no_code() -> None:
    with pytest.raises(OcgError):
        login.check_cookie(TOKEN, login.new_code(TOKEN, NOW), NOW)
    assert _refused(login.new_cookie(TOKEN, NOW))


def test_a_cookie_lasts_thirty_days_and_ends_with_the_token() -> None:
    cookie = login.new_cookie(TOKEN, NOW)
    login.check_cookie(TOKEN, cookie, NOW + 29.9 * 86400)
    for token, now in ((TOKEN, NOW + 30.1 * 86400), ("a new token", NOW)):
        with pytest.raises(OcgError):
            login.check_cookie(token, cookie, now)


class _None(Tokens):
    """Knows no other token."""

    def __init__(self) -> None:
        return

    def find(self, _: str) -> None:
        return None


def _access(now_s: float = NOW, *, token: str = TOKEN) -> Access:
    return Access(token, _None(), started_s=NOW - 1, now=lambda: now_s)


async def test_a_code_signs_in_once() -> None:
    subject, code = _access(), login.new_code(TOKEN, NOW)
    cookie = await subject.sign_in(LoginRequest(code=code), PEER)
    assert subject.accepts_cookie({login.COOKIE_NAME: cookie})
    with pytest.raises(OcgError, match="used already"):
        await subject.sign_in(LoginRequest(code=code), PEER)


async def test_used_codes_are_forgotten_once_they_have_expired() -> None:
    clock = [NOW]
    subject = Access(TOKEN, _None(), started_s=NOW - 1, now=lambda: clock[0])
    await subject.sign_in(LoginRequest(code=login.new_code(TOKEN, NOW)), PEER)
    clock[0] = NOW + 601
    await subject.sign_in(LoginRequest(code=login.new_code(TOKEN, clock[0])), PEER)
    assert len(subject._used) == 1


@pytest.mark.parametrize(
    "request_", [LoginRequest(), LoginRequest(token=""), LoginRequest(token="no"), LoginRequest(code="no")]
)
async def test_a_wrong_login_is_refused_slowly(request_: LoginRequest) -> None:
    began = time.monotonic()
    with pytest.raises(OcgError) as caught:
        await _access().sign_in(request_, PEER)
    assert caught.value.code is Code.UNAUTHORIZED
    assert time.monotonic() - began >= 0.05


async def test_a_flood_of_guesses_keeps_out_neither_other_addresses_nor_a_token_nobody_can_guess() -> None:
    subject, strong = _access(), _access(token=TOKEN * 4)
    wrong = [asyncio.create_task(one.slow_down(PEER)) for one in (subject, strong) for _ in range(16)]
    await asyncio.sleep(0)
    for one in (subject, strong):
        with pytest.raises(OcgError) as caught:
            await one.slow_down(PEER)  # a further wrong one is not even waited with
        assert caught.value.code is Code.BUSY
    with pytest.raises(OcgError):
        subject.accepts(TOKEN, PEER)
    assert subject.accepts(TOKEN, "192.0.2.8")
    assert strong.accepts(TOKEN * 4, PEER)
    assert subject.accepts_cookie({login.COOKIE_NAME: login.new_cookie(TOKEN, NOW)})  # who is in stays in
    await asyncio.gather(*wrong)
    assert subject.accepts(TOKEN, PEER)


async def test_all_addresses_together_get_no_more_guesses_than_64_at_once_and_ipv6_hosts_count_as_one() -> None:
    subject = _access()
    one_host = [asyncio.create_task(subject.slow_down(f"2001:db8::{number:x}")) for number in range(1, 17)]
    await asyncio.sleep(0)
    with pytest.raises(OcgError):
        await subject.slow_down("2001:db8::ffff")
    others = [asyncio.create_task(subject.slow_down(f"198.51.100.{number}")) for number in range(48)]
    await asyncio.sleep(0)
    with pytest.raises(OcgError):
        subject.accepts(TOKEN, PEER)
    await asyncio.gather(*one_host, *others)
    assert subject.accepts(TOKEN, PEER)


async def test_wrong_tokens_are_logged_with_their_address_and_fill_no_log(caplog: pytest.LogCaptureFixture) -> None:
    clock = [0.0]
    subject = brake.Brake(lambda: clock[0])
    for _ in range(3):
        await subject.hold(PEER)
    assert [one for one in caplog.messages if PEER in one] == caplog.messages[:1]
    clock[0] = 61.0
    await subject.hold(PEER)
    assert "and 2 since the line before" in caplog.messages[1]
    for number in range(300):
        subject._say(f"198.51.{number // 256}.{number % 256}")
    assert len(caplog.messages) == 1 + 256
    clock[0] = 200.0
    subject._say("203.0.113.1")
    assert len(caplog.messages) == 2 + 256


def test_forged_cookies_are_refused() -> None:
    expiry, nonce, mac = login.new_cookie(TOKEN, NOW).split(".")
    for value in ("", "x", f"{int(expiry) + 1}.{nonce}.{mac}", f"{expiry}.{nonce}.{mac[:-2]}AA"):
        assert not _access().accepts_cookie({login.COOKIE_NAME: value})
    assert not _access().accepts_cookie({})
