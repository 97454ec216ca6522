"""One table of what a service answers; Starlette's routes and the OpenAPI document are both made from it."""

import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from operator import attrgetter
from typing import Annotated, Any, Literal

import msgspec
from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ocg.errors import Code
from ocg.protocol import sse, wire

Handler = Callable[[Request], Awaitable[Response]]
Scope = Literal["", "chat", "read", "admin"]
NDJSON = "application/x-ndjson"
# What every endpoint but the open ones may answer.
_ALWAYS = (Code.UNAUTHORIZED, Code.FORBIDDEN)
_BODY = (Code.INVALID_REQUEST, Code.TOO_LARGE, Code.TIMEOUT)


@dataclass(frozen=True, slots=True)
class Parameter:
    """A value in the query or in a header; `kind` is its type, with its bounds."""

    name: str
    kind: Any
    about: str
    place: Literal["query", "header"] = "query"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What is asked by a method at a path, and what comes back.

    `gives` is the struct of the answer, of the type `media`: None where an answer has no body, or is always a stream.
    `streams` is what comes as events where the client asks for that, up to the text `last`, or as lines of NDJSON where
    `flow` says so. `takes` is the struct of the JSON body; `lines` that of each line where NDJSON is taken as well.
    `named` is the type of what stands in the path's braces, which with `{…:any}` has any character in it. `errors` are
    those beside what every endpoint may answer, in the body `failure` with the `status` of their code, and `unwell` is
    what comes with 503 instead of an error. `scope` is what a token must be good for, where nobody but the owner has
    business; of work that is asked for with `chat`, so much may be asked as the rate limits say, unless it `is_free`.
    `tag` is the group it is shown in.
    """

    method: str
    path: str
    summary: str
    handler: Handler
    gives: Any
    takes: Any = None
    lines: Any = None
    streams: Any = None
    last: str = ""
    flow: str = sse.CONTENT_TYPE
    media: str = wire.JSON
    named: Any = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    parameters: tuple[Parameter, ...] = ()
    errors: tuple[Code, ...] = ()
    failure: Any = wire.ErrorBody
    status: Callable[[Code], int] = attrgetter("http_status")
    unwell: Any = None
    scope: Scope = ""
    tag: str = ""
    is_open: bool = False
    is_free: bool = False

    @property
    def is_work(self) -> bool:
        """Whether it counts against rate limits."""
        return self.method == "POST" and self.scope == "chat" and not self.is_free

    @property
    def template(self) -> str:
        """The path with names alone in its braces."""
        return re.sub(r":\w+}", "}", self.path)

    @property
    def codes(self) -> frozenset[Code]:
        """The codes of all errors it may answer."""
        always = () if self.is_open else (*_ALWAYS, *((Code.RATE_LIMIT,) if self.is_work else ()))
        given = (Code.INVALID_REQUEST,) if self.parameters or "{" in self.path else ()
        return frozenset((*always, *given, *(_BODY if self.takes is not None else ()), *self.errors))

    @property
    def kinds(self) -> tuple[Any, ...]:
        """The types of all that goes in and out."""
        bodies = (self.takes, self.lines, self.gives, self.streams, self.failure, self.unwell)
        named = self.named if "{" in self.path else None
        return tuple(one for one in (*bodies, named, *(each.kind for each in self.parameters)) if one is not None)


class _AnyConvertor(Convertor[str]):
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
    register_url_convertor("any", _AnyConvertor())
    # The one with the longest end comes first, or {name:any} would take it for its own.
    ordered = sorted(endpoints, key=lambda one: one.path.endswith("}"))
    return [Route(one.path, one.handler, methods=[one.method]) for one in ordered]
