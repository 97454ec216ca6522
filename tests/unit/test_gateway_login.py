"""Signing in: codes work once and not for long, cookies cannot be made without the token, guessing is slow."""

import asyncio
import time

import pytest

from ocg.errors import Code, OcgError
from ocg.gateway import access
from ocg.gateway.access import Access, LoginRequest
from ocg.protocol import login

TOKEN = "the-token"
NOW = 1_800_000_000.25


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the brake its mechanics, not its length."""
    monkeypatch.setattr(access, "_WRONG_DELAY_S", 0.05)


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


def _access(now_s: float = NOW) -> Access:
    return Access(TOKEN, started_s=NOW - 1, now=lambda: now_s)


async def test_a_code_signs_in_once() -> None:
    subject, code = _access(), login.new_code(TOKEN, NOW)
    cookie = await subject.sign_in(LoginRequest(code=code))
    assert subject.accepts_cookie({login.COOKIE_NAME: cookie})
    with pytest.raises(OcgError, match="used already"):
        await subject.sign_in(LoginRequest(code=code))


async def test_used_codes_are_forgotten_once_they_have_expired() -> None:
    clock = [NOW]
    subject = Access(TOKEN, started_s=NOW - 1, now=lambda: clock[0])
    await subject.sign_in(LoginRequest(code=login.new_code(TOKEN, NOW)))
    clock[0] = NOW + 601
    await subject.sign_in(LoginRequest(code=login.new_code(TOKEN, clock[0])))
    assert len(subject._used) == 1


@pytest.mark.parametrize(
    "request_", [LoginRequest(), LoginRequest(token=""), LoginRequest(token="no"), LoginRequest(code="no")]
)
async def test_a_wrong_login_is_refused_slowly(request_: LoginRequest) -> None:
    began = time.monotonic()
    with pytest.raises(OcgError) as caught:
        await _access().sign_in(request_)
    assert caught.value.code is Code.UNAUTHORIZED
    assert time.monotonic() - began >= 0.05


async def test_so_many_wrong_tokens_at_once_and_no_more_are_looked_at() -> None:
    subject = _access()
    wrong = [asyncio.create_task(subject.slow_down()) for _ in range(64)]
    await asyncio.sleep(0)
    with pytest.raises(OcgError) as caught:
        subject.accepts(TOKEN)
    assert caught.value.code is Code.BUSY
    assert subject.accepts_cookie({login.COOKIE_NAME: login.new_cookie(TOKEN, NOW)})  # who is in stays in
    await asyncio.gather(*wrong)
    assert subject.accepts(TOKEN)


def test_forged_cookies_are_refused() -> None:
    expiry, nonce, mac = login.new_cookie(TOKEN, NOW).split(".")
    for value in ("", "x", f"{int(expiry) + 1}.{nonce}.{mac}", f"{expiry}.{nonce}.{mac[:-2]}AA"):
        assert not _access().accepts_cookie({login.COOKIE_NAME: value})
    assert not _access().accepts_cookie({})
