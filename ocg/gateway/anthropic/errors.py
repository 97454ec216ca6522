"""Errors as Anthropic's clients know them (platform.claude.com/docs/en/api/errors)."""

from starlette.responses import Response

from ocg.errors import Code, OcgError
from ocg.lifecycle import answers
from ocg.protocol import sse, wire
from ocg.protocol.struct import Struct

# Its clients ask again after a while, as they should.
_OVERLOADED = 529
_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    409: "conflict_error",
    413: "request_too_large",
    422: "invalid_request_error",
    429: "rate_limit_error",
    504: "timeout_error",
    _OVERLOADED: "overloaded_error",
}


class AnthropicErrorDetail(Struct, frozen=True, kw_only=True):
    """What went wrong."""

    type: str
    message: str


class AnthropicError(Struct, frozen=True, kw_only=True):
    """The body of every answer that is an error."""

    error: AnthropicErrorDetail
    type: str = "error"


def response(error: OcgError) -> Response:
    """Answer with an error."""
    return answers.error_response(error, body=body(error, status(error.code)), status=status(error.code))


def frame(error: OcgError) -> bytes:
    """Write an error into a stream that has begun."""
    return b"event: error\n" + sse.frame(body(error, status(error.code)))


def status(code: Code) -> int:
    """Return the status of an answer with this code."""
    return _OVERLOADED if code in {Code.BUSY, Code.UNAVAILABLE} else code.http_status


def body(error: OcgError, http_status: int) -> bytes:
    """Write the body of an answer with this status."""
    detail = AnthropicErrorDetail(type=_TYPES.get(http_status, "api_error"), message=str(error))
    return wire.encode(AnthropicError(error=detail))
