"""An error is said as whoever asked expects it, wherever it arises: at the door, on the way, or in a bug."""

import contextlib
import json
from dataclasses import dataclass
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ocg.errors import Code, OcgError
from ocg.gateway.dialects import render
from ocg.lifecycle import answers
from ocg.lifecycle.guard import Guard

KEY = {"Authorization": "Bearer right"}
PREFIXES = ("/v1/messages", "/api", "/v1/chat")
VERSION = {"anthropic-version": "2023-06-01"}


async def _fail(request: Request) -> Response:
    raise OcgError(Code(request.query_params["code"]), "it broke", "mend it")


async def _bug(_: Request) -> Response:
    raise ZeroDivisionError


@dataclass(frozen=True)
class _Reply:
    status: int
    headers: dict[bytes, bytes]
    json: Any


async def _ask(path: str, headers: dict[str, str], method: str = "POST") -> _Reply:
    routes = [Route(f"{prefix}/fail", _fail, methods=["POST"]) for prefix in PREFIXES]
    routes += [Route(f"{prefix}/bug", _bug, methods=["POST"]) for prefix in PREFIXES]
    app = Guard(
        answers.create_app(routes, render=render),
        accepts=lambda token, _: token == "right",
        is_open=lambda _: False,
        render=render,
    )
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    path, _, query = path.partition("?")
    pairs = [(name.lower().encode(), value.encode()) for name, value in ({"host": "127.0.0.1"} | headers).items()]
    scope = {"type": "http", "method": method, "path": path, "query_string": query.encode(), "headers": pairs}
    with contextlib.suppress(ZeroDivisionError):  # Starlette raises it again, for the server's log
        await app(scope, _nothing_more, send)
    return _Reply(sent[0]["status"], dict(sent[0]["headers"]), json.loads(sent[1]["body"]))


async def _nothing_more() -> Any:
    return {"type": "http.request", "body": b"", "more_body": False}


CASES: list[tuple[str, dict[str, str], str, int, str]] = [
    ("fail?code=busy", KEY, "POST", 429, "it broke"),
    ("fail?code=rate_limit_exceeded", KEY, "POST", 429, "it broke"),
    ("fail?code=context_length_exceeded", KEY, "POST", 400, "it broke"),
    ("bug", KEY, "POST", 500, "a bug in OCG"),
    ("nowhere", KEY, "POST", 404, "Not Found"),
    ("fail", KEY, "GET", 405, "Method Not Allowed"),
    ("fail", {"Authorization": "Bearer wrong"}, "POST", 401, "no valid token"),
    ("fail", KEY | {"host": "evil.example"}, "POST", 403, "evil.example"),
]


@pytest.mark.parametrize(("path", "headers", "method", "status", "said"), CASES)
async def test_ollamas_clients_are_told_in_a_text(
    path: str, headers: dict[str, str], method: str, status: int, said: str
) -> None:
    found = await _ask(f"/api/{path}", headers, method)
    assert found.status == status
    assert list(found.json) == ["error"]
    assert said in found.json["error"]


ANTHROPICS = {
    400: (400, "invalid_request_error"),
    401: (401, "authentication_error"),
    403: (403, "permission_error"),
    404: (404, "not_found_error"),
    405: (405, "invalid_request_error"),
    429: (429, "rate_limit_error"),
    500: (500, "api_error"),
}


@pytest.mark.parametrize(("path", "headers", "method", "status", "said"), CASES)
async def test_anthropics_clients_are_told_its_types(
    path: str, headers: dict[str, str], method: str, status: int, said: str
) -> None:
    for prefix, more in (("/v1/messages", {}), ("/v1/chat", VERSION)):
        found = await _ask(f"{prefix}/{path}", headers | more, method)
        expected = (529, "overloaded_error") if "busy" in path else ANTHROPICS[status]
        assert (found.status, found.json["error"]["type"]) == expected
        assert found.json["type"] == "error"
        assert said in found.json["error"]["message"]


@pytest.mark.parametrize(("path", "headers", "method", "status", "said"), CASES)
async def test_everybody_else_is_told_as_by_openai(
    path: str, headers: dict[str, str], method: str, status: int, said: str
) -> None:
    found = await _ask(f"/v1/chat/{path}", headers, method)
    assert (found.status, found.json["error"]["param"]) == (status, None)
    assert said in found.json["error"]["message"]
    assert found.json["error"]["code"]


async def test_what_passes_says_when_to_ask_again_in_every_dialect() -> None:
    for prefix in PREFIXES:
        assert (await _ask(f"{prefix}/fail?code=busy", KEY)).headers[b"retry-after"] == b"1"
