"""Who may talk: the token, the login that stands for it, and a brake on guessing."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from ocg.errors import Code, OcgError
from ocg.lifecycle import answers
from ocg.lifecycle.endpoints import Endpoint
from ocg.lifecycle.guard import same_token
from ocg.protocol import login

_BODY_BYTES = 4096
_WRONG_DELAY_S = 0.5
# With the delay: 128 guesses a second at the most, whatever the number of connections.
_MAX_WRONG_AT_ONCE = 64
_MAX_USED_CODES = 4096

_log = logging.getLogger(__name__)


class LoginRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Sign in by the token, or by a one-time code."""

    token: str | None = None
    code: str | None = None


class Access:
    """Judges tokens, codes and cookies. `started_s` is when it began to remember used codes (Unix time)."""

    def __init__(self, ui_token: str, *, started_s: float, now: Callable[[], float] = time.time) -> None:
        self._token = ui_token
        self._started_s = started_s
        self._now = now
        self._used: dict[str, float] = {}
        self._wrong_at_once = 0

    def accepts(self, token: str) -> bool:
        """Judge a token. Raises BUSY, without a look at it, while too many wrong ones wait for their answer."""
        if self._wrong_at_once >= _MAX_WRONG_AT_ONCE:
            raise OcgError(Code.BUSY, "too many wrong tokens just now", "try again shortly")
        return same_token(token, self._token)

    def is_of(self, token: str) -> bool:
        """Whether it judges by this token."""
        return same_token(token, self._token)

    def accepts_cookie(self, cookies: Mapping[str, str]) -> bool:
        """Judge the login cookie, which nobody can guess."""
        value = cookies.get(login.COOKIE_NAME, "")
        try:
            login.check_cookie(self._token, value, self._now())
        except OcgError:
            return False
        return True

    async def slow_down(self) -> None:
        """Wait, before a wrong token or code is answered."""
        _log.warning("a wrong token or login code was refused")
        self._wrong_at_once += 1
        try:
            await asyncio.sleep(_WRONG_DELAY_S)  # the delay is the point
        finally:
            self._wrong_at_once -= 1

    async def sign_in(self, request: LoginRequest) -> str:
        """Return the cookie's value for a right token or code. Raises UNAUTHORIZED, slowly."""
        try:
            self._check(request)
        except OcgError as error:
            if error.code is Code.UNAUTHORIZED:
                await self.slow_down()
            raise
        return login.new_cookie(self._token, self._now())

    def _check(self, request: LoginRequest) -> None:
        if request.code is not None:
            self._use(request.code)
        elif not self.accepts(request.token or ""):
            raise OcgError(
                Code.UNAUTHORIZED,
                "the token is wrong",
                "it is in the file `token` beside the data, or OCG_UI_TOKEN in env.config",
            )

    def _use(self, code: str) -> None:
        now = self._now()
        nonce = login.check_code(self._token, code, now, not_before_s=self._started_s)
        self._used = {one: expiry for one, expiry in self._used.items() if expiry > now}
        if nonce in self._used:
            raise OcgError(Code.UNAUTHORIZED, "this login link was used already", "get a fresh link with `ocg open`")
        if len(self._used) >= _MAX_USED_CODES:
            raise OcgError(Code.BUSY, "too many logins in ten minutes", "enter the token instead")
        self._used[nonce] = now + login.CODE_LIFE_S


class LoginRoutes:
    """POST /login and /logout."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def endpoints(self) -> tuple[Endpoint, ...]:
        """List them."""
        return (
            Endpoint(
                "POST", "/login", "Sign a browser in by the token or by a one-time code", self.login, None,
                takes=LoginRequest, errors=(Code.UNAUTHORIZED, Code.BUSY), tag="Gateway", is_open=True,
            ),
            Endpoint("POST", "/logout", "Sign a browser out", self.logout, None, scope="chat", tag="Gateway"),
        )  # fmt: skip

    async def login(self, request: Request) -> Response:
        """Give the browser its cookie."""
        asked = await answers.read(request, LoginRequest, limit_bytes=_BODY_BYTES)
        value = await self._access.sign_in(asked)
        _log.info("a browser signed in")
        return _with_cookie(value, int(login.COOKIE_LIFE_S), request)

    async def logout(self, request: Request) -> Response:
        """Take the browser's cookie away."""
        return _with_cookie("", 0, request)


def _with_cookie(value: str, max_age_s: int, request: Request) -> Response:
    response = Response(status_code=204)
    response.set_cookie(
        login.COOKIE_NAME,
        value,
        max_age=max_age_s,
        path="/",
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return response
