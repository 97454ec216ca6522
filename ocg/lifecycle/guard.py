"""Who may talk to a service that listens on 127.0.0.1, where other users and every web page can knock too.

Pure ASGI, around the application: the Host header first (DNS rebinding), then Origin (other pages), then the token.
"""

import functools
import hmac
import ipaddress
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Receive, Scope, Send

from ocg.errors import Code, OcgError
from ocg.lifecycle.answers import Render, in_our_dialect

# Where what a token or a cookie stands for is put, in an ASGI scope.
CALLER = "ocg.caller"
_LOCAL_NAMES = frozenset({"localhost", "ip6-localhost", "localhost.localdomain"})
_TOKEN_PROTOCOL = "ocg.bearer."  # noqa: S105 - what stands before a token
# A name or an IPv4 address, or an IPv6 address in brackets, and a port: what a browser sends, and nothing else.
_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]{2,45})\]|([A-Za-z0-9._-]{1,253}))(?::[0-9]{1,5})?")


def host_is_allowed(host: str, extra: Iterable[str] = ()) -> bool:
    """Whether a Host header names this machine: a loopback address, `localhost`, or one of `extra`, in lower case."""
    found = _HOST.fullmatch(host)
    if found is None:
        return False
    name = (found[1] or found[2]).lower()
    return name in _LOCAL_NAMES or name in set(extra) or _is_loopback(name)


@functools.lru_cache(maxsize=64)  # a client sends the same one with each request
def _is_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _nothing_read(_: Mapping[str, str]) -> None:
    return


async def _nothing_done(_: str) -> None:
    return


class Guard:
    """Refuses what has no business here, before the application sees it.

    `is_open` says which paths need no token; `accepts` judges a token, from an address, in constant time, and
    `accepts_cookie` the cookies, by name, one of which may stand for it. What they give for a right one says who asks.
    `hosts` are names allowed beside this machine's own, `origins` other pages that may ask by a token, and never by a
    cookie. `on_guess` is awaited with the address before a wrong token is answered: it can slow a guesser down.
    `render` writes why.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        accepts: Callable[[str, str], object],
        is_open: Callable[[str], bool],
        accepts_cookie: Callable[[Mapping[str, str]], object] = _nothing_read,
        hosts: Iterable[str] = (),
        origins: frozenset[str] = frozenset(),
        on_guess: Callable[[str], Awaitable[None]] = _nothing_done,
        render: Render = in_our_dialect,
    ) -> None:
        self._app = app
        self._accepts = accepts
        self._accepts_cookie = accepts_cookie
        self._is_open = is_open
        self._hosts = frozenset(name.lower() for name in hosts)
        self._origins = origins
        self._on_guess = on_guess
        self._render = render

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through, or answer it with the reason why not."""
        headers = Headers(scope=scope)
        try:
            _check_host(headers, self._hosts)
            is_ours = _check_origin(headers, self._origins)
            if not self._is_open(scope["path"]):
                scope[CALLER] = await self._caller(headers, (scope.get("client") or ("",))[0], takes_cookie=is_ours)
        except OcgError as error:
            await self._render(scope, error)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    async def _caller(self, headers: Headers, address: str, *, takes_cookie: bool) -> object:
        if takes_cookie and (found := self._accepts_cookie(cookie_parser(headers.get("cookie", "")))):
            return found
        given = _tokens(headers)
        if len(given) == 1:  # several would be several guesses for the delay of one
            (token,) = given
            if found := self._accepts(token, address):
                return found
        if given:
            await self._on_guess(address)
        why = "more than one token" if len(given) > 1 else "no valid token"
        raise OcgError(Code.UNAUTHORIZED, why, "send `Authorization: Bearer TOKEN`, OCG_UI_TOKEN in env.config")


def _check_host(headers: Headers, hosts: frozenset[str]) -> None:
    """Raise FORBIDDEN for a name that was made to mean this machine."""
    host = headers.get("host", "")
    if len(headers.getlist("host")) != 1 or not host_is_allowed(host, hosts):
        raise OcgError(
            Code.FORBIDDEN, f"the Host header names {host[:100]!r}", "use 127.0.0.1, or add it to OCG_ALLOWED_HOSTS"
        )


def _check_origin(headers: Headers, others: frozenset[str]) -> bool:
    """Return whether our own page asks, or a program, and not one of those `others`. Raises FORBIDDEN for all else."""
    origin = headers.get("origin")
    if origin is not None and _place(origin) != headers["host"].lower():
        if origin.lower() in others:
            return False
        raise OcgError(
            Code.FORBIDDEN, "another web page may not talk to OCG", "open OCG's own page; or see OCG_CORS_ORIGINS"
        )
    # A page's images and scripts come without an Origin. Another port of this machine is another site to us, and the
    # same to a SameSite cookie.
    fetched_by = headers.get("sec-fetch-site", "none")
    if fetched_by not in {"same-origin", "none"} and headers.get("sec-fetch-mode") != "navigate":
        raise OcgError(Code.FORBIDDEN, "another web page may not use OCG's answers", "open OCG's own page")
    return True


def _place(origin: str) -> str:
    """Return an origin's host and port; nothing where it has none, as in `null`."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _tokens(headers: Headers) -> frozenset[str]:
    """Return the tokens a request carries, of which each header may hold one."""
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    own, anthropic = headers.get("x-ocg-ui-token", ""), headers.get("x-api-key", "")
    # A page has no other header of a WebSocket to put it in.
    offered = (one.strip() for one in headers.get("sec-websocket-protocol", "").split(","))
    in_protocol = next((one for one in offered if one.startswith(_TOKEN_PROTOCOL)), "").removeprefix(_TOKEN_PROTOCOL)
    found = (bearer.strip() if scheme.lower() == "bearer" else "", own, anthropic, in_protocol)
    return frozenset(token for token in found if token)


def same_token(given: str, wanted: str) -> bool:
    """Compare tokens in constant time; an empty one is never right."""
    return bool(wanted) and hmac.compare_digest(given.encode(), wanted.encode())
