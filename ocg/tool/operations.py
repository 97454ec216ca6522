"""Everything that is asked of a tool but running a program: a module a kind, and the list below."""

import msgspec

from ocg.errors import Code, OcgError
from ocg.protocol import frames
from ocg.protocol.tooling import Failure, Fetch, Read, Request
from ocg.tool import read
from ocg.tool.connection import Connection


def answer(connection: Connection, data: bytes) -> None:
    """Do what is asked and send what came of it."""
    try:
        text = _do(msgspec.json.decode(data, type=Request))
    except OcgError as error:
        connection.send(frames.FAILURE, msgspec.json.encode(Failure(error.code, error.message, error.hint)))
    except OSError as error:
        failure = Failure(Code.INVALID_REQUEST, f"{error.filename or 'it'}: {error.strerror}", "look with ls")
        connection.send(frames.FAILURE, msgspec.json.encode(failure))
    else:
        connection.send(frames.RESULT, text.encode("utf-8", "replace"))


def _do(request: Request) -> str:
    match request:
        case Read():
            return read.read(request)
        case Fetch():
            from ocg.tool import web  # noqa: PLC0415 - lxml and ssl are for this alone

            return web.fetch(request)
        case _:
            raise OcgError(Code.INVALID_REQUEST, f"{type(request).__name__} is not done here", "this is a bug in OCG")
