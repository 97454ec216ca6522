"""Reading a file of the workspace, however large it is."""

from collections.abc import Iterator
from typing import BinaryIO

from ocg.errors import Code, OcgError
from ocg.protocol.tooling import Read
from ocg.tool import text
from ocg.tool.shown import MAX_CHARS, numbered
from ocg.tool.workspace import Workspace

_PIECE = 8192


def read(workspace: Workspace, asked: Read) -> str:
    """Return lines with their numbers, and where to go on."""
    shown: list[str] = []
    room, last = MAX_CHARS, 0
    with workspace.reading(asked.path) as stream:
        text.begins(asked.path, stream)
        for last, line in enumerate(_lines(stream), start=1):
            if last < asked.offset:
                continue
            shown.append(numbered(last, line))
            room -= len(shown[-1]) + 1
            if room < 0 or len(shown) > asked.limit:
                shown[-1] = f"[there are more lines: go on with offset={last}]"
                return "\n".join(shown)
    if not shown and last:
        raise OcgError(Code.INVALID_REQUEST, f"{asked.path} has {last} lines", f"give an offset from 1 to {last}")
    return "\n".join(shown) or "[the file is empty]"


def _lines(stream: BinaryIO) -> Iterator[str]:
    """Give the lines; of one that is too long for anybody, the beginning."""
    while piece := stream.readline(_PIECE):
        last = piece
        while not last.endswith(b"\n") and (last := stream.readline(_PIECE)):
            pass
        yield piece.decode("utf-8", "replace").removesuffix("\n").removesuffix("\r")
