"""What every service's HTTP has in common: bodies read within bounds, errors answered in one shape."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import Scope
from starlette.websockets import WebSocket

from ocg.errors import Code, OcgError
from ocg.protocol import wire

T = TypeVar("T")
# Answers whoever asks with an error, in the dialect that they speak.
Render = Callable[[Scope, OcgError], Response]

MAX_BODY_BYTES = 16 << 20
_DRAINED_BYTES = 16 << 20
BODY_TIMEOUT_S = 60.0

_log = logging.getLogger(__name__)
_STATUS_CODES = {404: Code.NOT_FOUND, 405: Code.METHOD_NOT_ALLOWED}


def in_our_dialect(_: Scope, error: OcgError) -> Response:
    """Answer with an error as OpenAI's API does."""
    return error_response(error)


def create_app(routes: Sequence[BaseRoute], *, render: Render = in_our_dialect) -> Starlette:
    """Build an application whose every error becomes an answer in one place, `render`."""
    errors = _Errors(render)
    handlers = {OcgError: errors.known, HTTPException: errors.http, ClientDisconnect: errors.gone}
    return Starlette(routes=routes, exception_handlers={**handlers, Exception: errors.unknown})


async def read(request: Request, kind: type[T], *, limit_bytes: int = MAX_BODY_BYTES) -> T:
    """Read a JSON body. Raises TOO_LARGE, or INVALID_REQUEST naming what does not fit."""
    return wire.decode(kind, await read_bytes(request, limit_bytes=limit_bytes))


def number(request: Request, name: str, *, default: int, least: int = 0, most: int) -> int:
    """Read a whole number of the query. Raises INVALID_REQUEST naming it and its bounds."""
    return whole(request.query_params.get(name, str(default)), name, least=least, most=most)


def whole(text: str, name: str, *, least: int = 0, most: int) -> int:
    """Read a whole number. Raises INVALID_REQUEST naming it and its bounds."""
    found = int(text) if text.isdecimal() and len(text) <= len(str(most)) else -1
    if not least <= found <= most:
        why = f"{name}: expected a number from {least} to {most}, found {text[:20]!r}"
        raise OcgError(Code.INVALID_REQUEST, why, "correct it", param=name)
    return found


async def read_bytes(request: Request, *, limit_bytes: int = MAX_BODY_BYTES) -> bytes:
    """Read a body of bounded size within bounded time. Raises TOO_LARGE or TIMEOUT.

    Of one that is larger, some more is read and thrown away: a client that is still sending hears no answer.
    """
    body, size = bytearray(), _announced(request)
    if size <= limit_bytes + _DRAINED_BYTES:
        try:
            async with asyncio.timeout(BODY_TIMEOUT_S):
                body, size = await _drain(request, limit_bytes)
        except TimeoutError:
            raise OcgError(Code.TIMEOUT, "the body did not come to its end", "send it faster, or less") from None
    if size > limit_bytes:
        raise OcgError(Code.TOO_LARGE, f"the body is larger than {limit_bytes >> 10} KiB", "send less at once")
    return bytes(body)


async def _drain(request: Request, limit_bytes: int) -> tuple[bytearray, int]:
    """Return the body up to its limit, and how much of it came."""
    body, size = bytearray(), 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= limit_bytes:
            body += chunk
        elif size > limit_bytes + _DRAINED_BYTES:
            break
    return body, size


def _announced(request: Request) -> int:
    length = request.headers.get("content-length", "")
    return int(length) if length.isdecimal() else 0


def answer(value: Any, status: int = 200) -> Response:
    """Answer with a struct as JSON."""
    return Response(wire.encode(value), status, media_type=wire.JSON)


def error_response(error: OcgError, *, body: bytes | None = None, status: int | None = None) -> Response:
    """Answer with an error; a dialect other than ours has a body of its own, and may have another status."""
    headers = {"Connection": "close"} if error.code is Code.TOO_LARGE else {}
    if error.code in {Code.BUSY, Code.UNAVAILABLE}:
        headers["Retry-After"] = "1"
    if error.code is Code.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(body or wire.error_body(error), status or error.code.http_status, headers, wire.JSON)


class _Errors:
    """Starlette's handlers: what was raised becomes an OcgError, and that an answer."""

    def __init__(self, render: Render) -> None:
        self._render = render

    async def known(self, request: Request | WebSocket, error: Exception) -> Response:
        assert isinstance(error, OcgError)  # noqa: S101 - Starlette's table maps the class to this function
        _log.info("%s %s: %s", request.scope.get("method", "WS"), request.url.path, error)
        return self._render(request.scope, error)

    async def http(self, request: Request | WebSocket, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - as above
        code = _STATUS_CODES.get(error.status_code, Code.INVALID_REQUEST)
        why = f"{request.url.path}: {error.detail}"
        found = self._render(request.scope, OcgError(code, why, "see the API's description"))
        if code is Code.METHOD_NOT_ALLOWED:
            found.headers["Allow"] = ", ".join(_allowed(request))
        return found

    async def gone(self, request: Request | WebSocket, error: Exception) -> Response:
        del error
        _log.debug("%s: the client has gone", request.url.path)
        return self._render(request.scope, OcgError(Code.CANCELLED, "nobody waits for this any more"))

    async def unknown(self, request: Request | WebSocket, error: Exception) -> Response:
        _log.error("%s failed", request.url.path, exc_info=error)
        why, hint = "a bug in OCG; the log has its traceback", "ocg logs"
        return self._render(request.scope, OcgError(Code.INTERNAL, why, hint))


def _allowed(request: Request | WebSocket) -> list[str]:
    """List the methods of all routes for what was asked; Starlette's own Allow header has those of the first alone."""
    fitting = [one for one in request.app.routes if one.matches(request.scope)[0] is not Match.NONE]
    same = [one for one in fitting if one.path == fitting[0].path]
    return sorted({method for one in same for method in one.methods or ()})
