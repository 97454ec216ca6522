"""Signing in without the token in a URL: codes that work once, and the cookie a browser gets for one.

Both are `<expiry>.<nonce>.<mac>`: the expiry in milliseconds of Unix time, the mac HMAC-SHA256 over purpose, expiry
and nonce with the UI token as its key. So a new token ends all of them, and nothing need be kept to check one.
"""

import base64
import hmac
import secrets

from ocg.errors import Code, OcgError

CODE_LIFE_S = 600.0
COOKIE_NAME = "ocg_login"
COOKIE_LIFE_S = 30 * 86400.0
# What is longer was not made here.
_MAX_CHARS = 256


def new_code(ui_token: str, now_s: float) -> str:
    """Make a code that signs a browser in once, within ten minutes of `now_s` (Unix time)."""
    return _ticket(ui_token, "code", now_s + CODE_LIFE_S)


def check_code(ui_token: str, code: str, now_s: float, *, not_before_s: float) -> str:
    """Return a code's nonce, to be remembered as used. Raises UNAUTHORIZED when it is forged, expired, or too old.

    `not_before_s` is when the memory of used nonces begins: codes made earlier may have been used.
    """
    expiry_ms, nonce = _read(ui_token, "code", code)
    if now_s * 1000 >= expiry_ms or expiry_ms - CODE_LIFE_S * 1000 < int(not_before_s * 1000):
        raise _refusal("this login link has expired")
    return nonce


def new_cookie(ui_token: str, now_s: float) -> str:
    """Make the login cookie's value, good for 30 days from `now_s`."""
    return _ticket(ui_token, "cookie", now_s + COOKIE_LIFE_S)


def check_cookie(ui_token: str, value: str, now_s: float) -> None:
    """Raise UNAUTHORIZED unless the cookie was made with this token and has not expired."""
    expiry_ms, _ = _read(ui_token, "cookie", value)
    if now_s * 1000 >= expiry_ms:
        raise _refusal("the login has expired")


def _ticket(ui_token: str, purpose: str, expiry_s: float) -> str:
    signed = f"{int(expiry_s * 1000)}.{secrets.token_urlsafe(16)}"
    return f"{signed}.{_mac(ui_token, purpose, signed)}"


def _read(ui_token: str, purpose: str, ticket: str) -> tuple[int, str]:
    """Return expiry in ms and nonce of a ticket that was made with this token for this purpose."""
    signed, _, mac = ticket.rpartition(".")
    genuine = len(ticket) <= _MAX_CHARS and hmac.compare_digest(mac.encode(), _mac(ui_token, purpose, signed).encode())
    if not ui_token or not genuine:
        raise _refusal("this login is not valid")
    expiry, _, nonce = signed.partition(".")
    return int(expiry), nonce


def _mac(ui_token: str, purpose: str, signed: str) -> str:
    digest = hmac.digest(ui_token.encode(), f"ocg-login-{purpose}.{signed}".encode(), "sha256")
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _refusal(message: str) -> OcgError:
    return OcgError(Code.UNAUTHORIZED, message, "get a fresh link with `ocg open`, or enter the token")
