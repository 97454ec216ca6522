"""One table of what the service answers; Starlette's routes and the OpenAPI document are both made from it."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ocg.errors import Code
from ocg.protocol import sse, wire

Handler = Callable[[Request], Awaitable[Response]]
NDJSON = "application/x-ndjson"
# What every endpoint but the open ones may answer.
_ALWAYS = (Code.UNAUTHORIZED, Code.FORBIDDEN)
_BODY = (Code.INVALID_REQUEST, Code.TOO_LARGE, Code.TIMEOUT)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What is asked by a method at a path, and what comes back.

    `takes` is the struct of the JSON body; `lines` that of each line where NDJSON is taken as well. `streams` is what
    comes as events where the client asks for that. `errors` are those beside what every endpoint may answer,
    `scope` what a token must be good for, where any token will not do.
    """

    method: str
    path: str
    summary: str
    handler: Handler
    gives: Any
    takes: Any = None
    lines: Any = None
    streams: bool = False
    errors: tuple[Code, ...] = ()
    scope: str = ""
    is_open: bool = False

    @property
    def codes(self) -> frozenset[Code]:
        """The codes of all errors it may answer."""
        always = () if self.is_open else _ALWAYS
        return frozenset((*always, *(_BODY if self.takes is not None else ()), *self.errors))


class _NameConvertor(Convertor[str]):
    """A name in a path, which may have any character in it, percent-encoded; Starlette sees it decoded."""

    regex = "(?s:.+)"

    def convert(self, value: str) -> str:
        """Return it as it is."""
        return value

    def to_string(self, value: str) -> str:
        """Return it as it is."""
        return value


def routes(endpoints: Iterable[Endpoint]) -> list[Route]:
    """Make Starlette's routes. Of two that fit a path, its method and its end decide."""
    register_url_convertor("name", _NameConvertor())
    # The one with the longest end comes first, or {name} would take it for its own.
    ordered = sorted(endpoints, key=lambda one: one.path.endswith("}"))
    return [Route(one.path.replace("{name}", "{name:name}"), one.handler, methods=[one.method]) for one in ordered]


def document(endpoints: Sequence[Endpoint], *, version: str) -> dict[str, Any]:
    """Make the OpenAPI 3.1 document."""
    kinds = {id(kind): kind for one in endpoints for kind in (one.takes, one.lines, one.gives) if kind is not None}
    kinds[id(wire.ErrorBody)] = wire.ErrorBody
    schemas, components = msgspec.json.schema_components(
        list(kinds.values()), ref_template="#/components/schemas/{name}"
    )
    known = dict(zip(kinds, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for one in endpoints:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one, known)
    return {
        "openapi": "3.1.0",
        "info": {"title": "ocg-embedding", "version": version, "description": "Models, embeddings and vectors of OCG."},
        "security": [{"token": []}],
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
    }


def _operation(one: Endpoint, schemas: dict[int, Any]) -> dict[str, Any]:
    answer = {wire.JSON: {"schema": schemas[id(one.gives)]}}
    if one.streams:
        answer[sse.CONTENT_TYPE] = {"schema": {"type": "string"}}
    made: dict[str, Any] = {
        "operationId": one.handler.__name__.strip("_"),
        "summary": one.summary,
        "responses": {"200": {"description": "Done.", "content": answer}} | _errors(one, schemas),
    }
    if one.is_open:
        made["security"] = []
    if "{name}" in one.path:
        name = {"type": "string", "minLength": 1, "maxLength": 128}
        made["parameters"] = [{"name": "name", "in": "path", "required": True, "schema": name}]
    if one.takes is not None:
        body = {wire.JSON: {"schema": schemas[id(one.takes)]}}
        if one.lines is not None:
            body[NDJSON] = {"schema": schemas[id(one.lines)]}
        made["requestBody"] = {"required": True, "content": body}
    return made


def _errors(one: Endpoint, schemas: dict[int, Any]) -> dict[str, Any]:
    by_status: dict[str, list[str]] = {}
    for code in sorted(one.codes):
        by_status.setdefault(str(code.http_status), []).append(code.value)
    body = {wire.JSON: {"schema": schemas[id(wire.ErrorBody)]}}
    return {status: {"description": ", ".join(codes), "content": body} for status, codes in sorted(by_status.items())}
