"""Errors as Ollama's clients know them: a text."""

from starlette.responses import Response

from ocg.errors import OcgError
from ocg.lifecycle import answers
from ocg.protocol import wire
from ocg.protocol.struct import Struct


class OllamaError(Struct, frozen=True, kw_only=True):
    """The body of every answer that is an error, and the last line of a stream that fails."""

    error: str


def response(error: OcgError) -> Response:
    """Answer with an error."""
    return answers.error_response(error, body=_body(error))


def line(error: OcgError) -> bytes:
    """Write an error into a stream that has begun."""
    return _body(error) + b"\n"


def _body(error: OcgError) -> bytes:
    return wire.encode(OllamaError(error=str(error)))
