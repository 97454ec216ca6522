"""Who may talk to a service that listens on 127.0.0.1, where other users and every web page can knock too.

Pure ASGI, around the application: the Host header first (DNS rebinding), then Origin (other pages), then the token.
"""

import hmac
import http.cookies
import ipaddress
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from ocg.errors import Code, OcgError
from ocg.lifecycle.answers import error_response

_LOCAL_NAMES = frozenset({"localhost", "ip6-localhost", "localhost.localdomain"})


def host_is_allowed(host: str, extra: Iterable[str] = ()) -> bool:
    """Whether a Host header names this machine: a loopback address, `localhost`, or one of `extra`."""
    name = urlsplit(f"//{host}").hostname or ""
    if name in _LOCAL_NAMES or name in set(extra):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


class Guard:
    """Refuses what has no business here, before the application sees it.

    `is_open` says which paths need no token; `accepts` judges a token in constant time, and `cookie` names one that
    may carry it. `hosts` are names allowed beside this machine's own.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        accepts: Callable[[str], bool],
        is_open: Callable[[str], bool],
        accepts_cookie: Callable[[http.cookies.SimpleCookie], bool] = lambda _: False,
        hosts: Iterable[str] = (),
    ) -> None:
        self._app = app
        self._accepts = accepts
        self._accepts_cookie = accepts_cookie
        self._is_open = is_open
        self._hosts = frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through, or answer it with the reason why not."""
        try:
            self._check(scope)
        except OcgError as error:
            await error_response(error)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not host_is_allowed(host, self._hosts):
            raise OcgError(
                Code.FORBIDDEN, f"the Host header names {host[:100]!r}", "use 127.0.0.1, or add it to OCG_ALLOWED_HOSTS"
            )
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != host:
            raise OcgError(Code.FORBIDDEN, "another web page may not talk to OCG", "open OCG's own page")
        if not self._is_open(scope["path"]) and not self._has_token(headers):
            raise OcgError(
                Code.UNAUTHORIZED, "no valid token", "send `Authorization: Bearer TOKEN`, OCG_UI_TOKEN in env.config"
            )

    def _has_token(self, headers: Headers) -> bool:
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self._accepts(bearer.strip()):
            return True
        if self._accepts(headers.get("x-ocg-ui-token", "")):
            return True
        try:
            return self._accepts_cookie(http.cookies.SimpleCookie(headers.get("cookie", "")))
        except http.cookies.CookieError:
            return False


def same_token(given: str, wanted: str) -> bool:
    """Compare tokens in constant time; an empty one is never right."""
    return bool(wanted) and hmac.compare_digest(given.encode(), wanted.encode())
