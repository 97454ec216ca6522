"""The one door for JSON from outside, and the one shape of an error on the wire (OpenAI's, with a hint)."""

import re
from typing import Any, TypeVar

import msgspec

from ocg.errors import Code, OcgError

T = TypeVar("T")

JSON = "application/json"


class ErrorDetail(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong. `type` and `param` are there because OpenAI's clients look for them."""

    message: str
    code: str
    type: str = "ocg_error"
    param: str | None = None
    hint: str = ""


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True):
    """The body of every answer that is an error."""

    error: ErrorDetail


def encode(value: Any) -> bytes:
    """Turn a struct into JSON."""
    return msgspec.json.encode(value)


def decode(kind: type[T], data: bytes | str) -> T:
    """Read JSON that came from outside. Raises INVALID_REQUEST, naming the attribute that is wrong."""
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError as error:
        raise _misfit(error) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise OcgError(Code.INVALID_REQUEST, f"the body is not JSON: {error}", "send a JSON object") from None


def convert(kind: type[T], value: Any, *, where: str) -> T:
    """Read a part of JSON that was decoded already; `where` is its place in the whole. Raises as `decode` does."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise _misfit(error, where) from None


def _misfit(error: msgspec.ValidationError, where: str = "") -> OcgError:
    param = ".".join(one for one in (where, _attribute(str(error))) if one)
    why = f"{where}: {error}" if where else f"the request does not fit: {error}"
    return OcgError(Code.INVALID_REQUEST, why, "see the API's description", param=param or None)


def _attribute(text: str) -> str | None:
    """Return the attribute msgspec blames; it names it as a path below `$` or, where one is missing, in backticks."""
    path = re.search(r" - at `\$\.?([^`]*)`", text)
    missing = re.search(r"missing required field `([^`]+)`", text)
    return ".".join(one[1] for one in (path, missing) if one and one[1]) or None


def error_body(error: OcgError) -> bytes:
    """Turn an error into the body of an HTTP answer."""
    kind = "invalid_request_error" if error.code.http_status < 500 else "server_error"  # noqa: PLR2004 - HTTP's classes
    detail = ErrorDetail(message=error.message, code=error.code, type=kind, param=error.param, hint=error.hint)
    return encode(ErrorBody(error=detail))


def read_error(status: int, data: bytes) -> OcgError:
    """Turn the body of an HTTP answer that is an error back into the error, whoever sent it."""
    try:
        found = msgspec.json.decode(data, type=ErrorBody).error
        return OcgError(Code(found.code), found.message, found.hint, param=found.param)
    except (msgspec.DecodeError, ValueError):
        text = data[:200].decode("utf-8", "replace").strip() or "no explanation"
        return OcgError(Code.PROVIDER, f"HTTP {status}: {text}")
