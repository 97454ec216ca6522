"""Who may talk: the owner's token, the login that stands for it, and named tokens."""

import logging
import time
from collections.abc import Callable, Mapping

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from ocg.errors import Code, OcgError
from ocg.gateway.brake import Brake
from ocg.gateway.caller import OWNER, Caller
from ocg.gateway.tokens import PREFIX, Tokens
from ocg.lifecycle import answers
from ocg.lifecycle.endpoints import Endpoint
from ocg.lifecycle.guard import same_token
from ocg.protocol import login

_BODY_BYTES = 4096
# 128 random bits and more, as they are usually written.
_UNGUESSABLE_CHARS = 32
_MAX_USED_CODES = 4096

_log = logging.getLogger(__name__)


class LoginRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Sign in by the token, or by a one-time code."""

    token: str | None = None
    code: str | None = None


class Access:
    """Judges tokens, codes and cookies. `started_s` is when it began to remember used codes (Unix time)."""

    def __init__(
        self, ui_token: str, tokens: Tokens, *, started_s: float, now: Callable[[], float] = time.time
    ) -> None:
        self._token = ui_token
        self._tokens = tokens
        self._started_s = started_s
        self._now = now
        self._used: dict[str, float] = {}
        self._brake = Brake()

    def accepts(self, token: str, address: str) -> Caller | None:
        """Say who has a token; None when it is wrong. Raises BUSY, without a look at it, while guesses pile up.

        A token that nobody can guess is judged all the same, so that guesses keep nobody out who has one.
        """
        if token.startswith(PREFIX) and (found := self._tokens.find(token)):
            return found
        return OWNER if self._is_owners(token, address) else None

    def is_of(self, token: str) -> bool:
        """Whether it judges by this token."""
        return same_token(token, self._token)

    def accepts_cookie(self, cookies: Mapping[str, str]) -> Caller | None:
        """Judge the login cookie, which nobody can guess."""
        value = cookies.get(login.COOKIE_NAME, "")
        try:
            login.check_cookie(self._token, value, self._now())
        except OcgError:
            return None
        return OWNER

    async def slow_down(self, address: str) -> None:
        """Wait, before a wrong token or code from an address is answered."""
        await self._brake.hold(address)

    async def sign_in(self, request: LoginRequest, address: str) -> str:
        """Return the cookie's value for the owner's token or a code. Raises UNAUTHORIZED, slowly."""
        try:
            self._check(request, address)
        except OcgError as error:
            if error.code is Code.UNAUTHORIZED:
                await self.slow_down(address)
            raise
        return login.new_cookie(self._token, self._now())

    def _is_owners(self, token: str, address: str) -> bool:
        if len(self._token) < _UNGUESSABLE_CHARS:
            self._brake.check(address)
        return same_token(token, self._token)

    def _check(self, request: LoginRequest, address: str) -> None:
        if request.code is not None:
            self._use(request.code)
        elif not self._is_owners(request.token or "", address):
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
            Endpoint("POST", "/logout", "Sign a browser out", self.logout, None, scope="admin", tag="Gateway"),
        )  # fmt: skip

    async def login(self, request: Request) -> Response:
        """Give the browser its cookie."""
        asked = await answers.read(request, LoginRequest, limit_bytes=_BODY_BYTES)
        value = await self._access.sign_in(asked, request.client.host if request.client else "")
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
