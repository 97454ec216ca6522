"""What a request names in its path, checked before it becomes part of another path."""

from typing import TypeVar

import msgspec
from starlette.requests import Request

from ocg.errors import Code, OcgError
from ocg.protocol.messages import Name

T = TypeVar("T")


def id_of(request: Request) -> str:
    """Return the id in the path. Raises INVALID_REQUEST when it is none."""
    return checked(request.path_params["id"], Name, "id")


def checked(value: str, kind: type[T], name: str) -> T:
    """Return a value of a type. Raises INVALID_REQUEST naming it."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise OcgError(Code.INVALID_REQUEST, f"{name}: {error}", "see the API's description", param=name) from None
