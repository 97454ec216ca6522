"""Everything that is asked of a tool but running a program: a module a kind, and the list below."""

from collections.abc import Callable
from typing import Any

import msgspec

from ocg.errors import Code, OcgError
from ocg.protocol import frames
from ocg.protocol.tooling import ApplyPatch, Browse, Edit, Failure, Fetch, Glob, Grep, Ls, Picture, Read, Request, Write
from ocg.tool.apply_patch import apply_patch
from ocg.tool.connection import Connection
from ocg.tool.edit import edit
from ocg.tool.glob import glob
from ocg.tool.grep import grep
from ocg.tool.ls import ls
from ocg.tool.picture import picture
from ocg.tool.read import read
from ocg.tool.trouble import about
from ocg.tool.workspace import Workspace, here
from ocg.tool.write import write


def answer(connection: Connection, data: bytes) -> None:
    """Do what is asked and send what came of it."""
    try:
        with about("the workspace"), here() as place:
            found = _answered(connection, place, msgspec.json.decode(data, type=Request))
    except OcgError as error:
        connection.send(frames.FAILURE, msgspec.json.encode(Failure(error.code, error.message, error.hint)))
    else:
        connection.send(frames.RESULT, found)


def _answered(connection: Connection, place: Workspace, request: Request) -> bytes:
    match request:
        case Picture():
            return picture(place, request)
        case Browse():
            from ocg.tool.web import browser  # noqa: PLC0415 - Playwright may not be there

            browser.serve(connection, place, request)
            return b""
    return do(place, request).encode("utf-8", "replace")


def do(place: Workspace, request: Request) -> str:
    """Do it and return what the model is told. Raises OcgError."""
    operation = _OPERATIONS.get(type(request))
    if operation is None:
        raise OcgError(Code.INVALID_REQUEST, f"{type(request).__name__} is not done here", "this is a bug in OCG")
    return operation(place, request)


def _fetch(place: Workspace, asked: Fetch) -> str:
    from ocg.tool.web.fetch import fetch  # noqa: PLC0415 - lxml and ssl are for this alone

    del place
    return fetch(asked)


_OPERATIONS: dict[type[msgspec.Struct], Callable[[Workspace, Any], str]] = {
    Read: read,
    Write: write,
    Edit: edit,
    ApplyPatch: apply_patch,
    Ls: ls,
    Glob: glob,
    Grep: grep,
    Fetch: _fetch,
}
