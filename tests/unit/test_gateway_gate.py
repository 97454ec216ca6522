"""The gate before each route: what no table says a scope of is the owner's alone, and only work is counted."""

from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from ocg.gateway.caller import OWNER, Caller
from ocg.gateway.gate import gated
from ocg.gateway.limits import Limits
from ocg.gateway.rate import Rate
from ocg.lifecycle import answers
from ocg.lifecycle.endpoints import Endpoint, routes
from ocg.lifecycle.guard import CALLER

EVERYTHING_BUT_ADMIN = Caller("program", frozenset({"chat", "read"}))


async def _answer(_: Request) -> Response:
    return Response(b"done")


async def _greet(socket: WebSocket) -> None:
    await socket.accept()


TABLE = (
    Endpoint("POST", "/work", "Work", _answer, None, scope="chat"),
    Endpoint("POST", "/stop", "Stop working", _answer, None, scope="chat", is_free=True),
    Endpoint("GET", "/work", "See the work", _answer, None, scope="read"),
    Endpoint("GET", "/unsaid", "Says no scope", _answer, None),
)


async def _status(method: str, path: str, caller: Caller | None, limits: dict[str, Rate] | None = None) -> list[Any]:
    """Ask twice; return both statuses, or how a WebSocket began."""
    plain, sockets = Route("/forgotten", _answer), (WebSocketRoute("/ws", _greet), WebSocketRoute("/own", _greet))
    counting = Limits(None, limits or {})  # type: ignore[arg-type] # nothing is saved
    app = answers.create_app(gated((*routes(TABLE), plain, *sockets), TABLE, counting, sockets={"/ws": "chat"}))
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect" if method == "WS" else "http.request"}

    async def send(message: Any) -> None:
        if not message["type"].endswith("body"):
            sent.append(message.get("status", message["type"]))

    for _ in range(2):
        asked: dict[str, Any] = {"type": "websocket" if method == "WS" else "http", "method": method, "path": path}
        asked |= {"headers": [], "extensions": {"websocket.http.response": {}}}
        await app(asked | ({CALLER: caller} if caller else {}), receive, send)
    return sent


@pytest.mark.parametrize(("method", "path"), [("GET", "/forgotten"), ("GET", "/unsaid"), ("WS", "/own")])
async def test_what_no_scope_is_said_of_is_the_owners_alone(method: str, path: str) -> None:
    assert await _status(method, path, EVERYTHING_BUT_ADMIN) == [403, 403]
    assert await _status(method, path, OWNER) == [200 if method == "GET" else "websocket.accept"] * 2


async def test_each_method_of_a_path_has_its_own_scope() -> None:
    chat, read = Caller("one", frozenset({"chat"})), Caller("two", frozenset({"read"}))
    for caller, wanted in ((chat, [200, 403, 403, 405]), (read, [403, 200, 200, 405])):
        assert [(await _status(method, "/work", caller))[0] for method in ("POST", "GET", "HEAD", "PUT")] == wanted
    assert (await _status("WS", "/ws", chat))[0] == "websocket.accept"
    assert await _status("WS", "/ws", read) == [403, 403]


async def test_work_is_counted_and_to_end_it_is_free() -> None:
    limits = {"token:*": Rate(1, 60)}
    assert await _status("POST", "/work", EVERYTHING_BUT_ADMIN, limits) == [200, 429]
    assert await _status("POST", "/stop", EVERYTHING_BUT_ADMIN, limits) == [200, 200]
    assert await _status("GET", "/work", EVERYTHING_BUT_ADMIN, limits) == [200, 200]


async def test_who_came_by_an_open_path_is_asked_for_nothing() -> None:
    assert await _status("GET", "/forgotten", None) == [200, 200]
