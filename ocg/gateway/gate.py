"""What stands before each route: whether the caller's token is good for it, and whether it may ask so often."""

from collections.abc import Iterable, Mapping, Sequence

from starlette.requests import Request
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as Asked

from ocg.errors import OcgError
from ocg.gateway import caller
from ocg.gateway.admission import VERDICT
from ocg.gateway.limits import Limits, Verdict
from ocg.lifecycle.answers import error_response
from ocg.lifecycle.endpoints import Endpoint
from ocg.protocol.access import Scope

_Routes = Sequence[Route | WebSocketRoute]


def gated(routes: _Routes, listed: Iterable[Endpoint], limits: Limits, *, sockets: Mapping[str, Scope]) -> _Routes:
    """Put a gate before each route; what no scope is said of is the owner's alone. A WebSocket counts its own work."""
    known = {(one.path, one.method): one for one in listed}
    for route in routes:
        if isinstance(route, WebSocketRoute):
            route.app = Gate(route.app, sockets.get(route.path, "admin"), None)
            continue
        found = next((known[place] for one in route.methods or () if (place := (route.path, one)) in known), None)
        is_work = found is not None and found.is_work
        route.app = Gate(route.app, (found and found.scope) or "admin", limits if is_work else None)
    return routes


class Gate:
    """Refuses who has no business behind it. Who came by an open path, and so without a token, is not asked for one."""

    def __init__(self, app: ASGIApp, scope: Scope, limits: Limits | None) -> None:
        self._app = app
        self._scope = scope
        self._limits = limits

    async def __call__(self, scope: Asked, receive: Receive, send: Send) -> None:
        """Let the request through, or answer it with the reason why not."""
        try:
            self._check(scope)
        except OcgError as error:
            if scope["type"] == "http":
                raise  # to be written in the dialect of the path
            await error_response(error)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _check(self, scope: Asked) -> None:
        found = caller.of(scope)
        if found is None:
            return
        found.check(self._scope, scope["path"])
        if self._limits is not None:
            _tell(scope, self._limits.check(found.limit_keys))


def count(request: Request, limits: Limits, number: int) -> None:
    """Count all the answers that a request wants; its gate, which cannot know, counted one. Raises RATE_LIMIT."""
    if number > 1:
        _tell(request.scope, limits.check(caller.who(request).limit_keys, number, counted=1))


def _tell(scope: Asked, verdict: Verdict) -> None:
    scope[VERDICT] = verdict
    verdict.check()
