"""Headers that every answer has, whoever gives it."""

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ocg.lifecycle.guard import host_is_allowed

_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
}
# For all but the page: what is answered is data, never a document that does something.
_UNLESS_SET = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


# Where we speak TLS ourselves, a browser is to come by nothing else for half a year (RFC 6797). It heeds that for every
# port of the name, so a name that other programs of this machine have too is not bound by it.
_BY_TLS = {"Strict-Transport-Security": "max-age=15552000"}


class SafeHeaders:
    """Adds them."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through, and complete the head of its answer."""
        is_bound = scope.get("scheme") in {"https", "wss"} and not host_is_allowed(Headers(scope=scope).get("host", ""))
        always = _ALWAYS | _BY_TLS if is_bound else _ALWAYS

        async def complete(message: Message) -> None:
            if message["type"] in {"http.response.start", "websocket.http.response.start"}:
                headers = MutableHeaders(scope=message)
                headers.update(always)
                for name, value in _UNLESS_SET.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, complete)
