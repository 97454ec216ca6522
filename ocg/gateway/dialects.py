"""Errors in the dialect of whoever asks: the path says which it is and, where two share it, a header."""

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Scope

from ocg.errors import OcgError
from ocg.gateway.anthropic import errors as anthropic
from ocg.gateway.ollama import errors as ollama
from ocg.lifecycle import answers


def render(scope: Scope, error: OcgError) -> Response:
    """Answer with an error."""
    path = scope["path"]
    if path.startswith("/api/"):
        return ollama.response(error)
    if path.startswith("/v1/messages") or "anthropic-version" in Headers(scope=scope):
        return anthropic.response(error)
    return answers.error_response(error)
