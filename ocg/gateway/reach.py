"""From where the gateway may be asked: by which names, by which other pages, and through which proxies."""

from dataclasses import dataclass
from typing import Any, Self

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from ocg.config import GatewaySettings, Networks
from ocg.config.values import is_address

# What pages elsewhere remember of our answer to their preflight.
_PREFLIGHT_S = 600
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Names allowed beside this machine's own, origins of other pages, and proxies that are believed."""

    hosts: tuple[str, ...] = ()
    origins: frozenset[str] = frozenset()
    proxies: Networks = Networks()

    @classmethod
    def of(cls, settings: GatewaySettings) -> Self:
        """Take it from the settings."""
        hosts = (settings.host, *settings.allowed_hosts)
        return cls(hosts=hosts, origins=settings.cors_origins, proxies=settings.trusted_proxies)

    def around(self, app: ASGIApp) -> ASGIApp:
        """Put what is needed of it around an application: without settings nothing, so that no other page gets in."""
        found: ASGIApp = Proxied(app, self.proxies) if self.proxies else app
        if not self.origins:
            return found
        # Never with credentials: a cookie is our own page's.
        return CORSMiddleware(
            found,
            allow_origins=tuple(self.origins),
            allow_methods=_METHODS,
            allow_headers=("*",),
            expose_headers=("*",),
            allow_private_network=True,  # so Chromium asks whether a page from the internet may reach us
            max_age=_PREFLIGHT_S,
        )


class Proxied:
    """Takes a trusted proxy's word for who asks (X-Forwarded-For) and whether by TLS (X-Forwarded-Proto)."""

    def __init__(self, app: ASGIApp, proxies: Networks) -> None:
        self._app = app
        self._proxies = proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through, as the proxy got it."""
        client = scope.get("client")
        if (client[0] if client else "") in self._proxies:
            scope.update(self._told(scope))  # in place: who stands before us reads the route from it afterwards
        await self._app(scope, receive, send)

    def _told(self, scope: Scope) -> dict[str, Any]:
        headers = Headers(scope=scope)
        told: dict[str, Any] = {}
        if headers.get("x-forwarded-proto", "").strip().lower() == "https":
            told["scheme"] = "wss" if scope["type"] == "websocket" else "https"
        # Each proxy adds whom it saw at the end: the last that is no proxy of ours is the client, the rest is hearsay.
        hops = [one.strip() for one in ",".join(headers.getlist("x-forwarded-for")).split(",")]
        seen = next((one for one in reversed(hops) if is_address(one) and one not in self._proxies), "")
        return told | {"client": (seen, 0)} if seen else told
