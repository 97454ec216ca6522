"""Changing a text in a file, which must be there exactly, and only once unless all are meant."""

import re
from itertools import islice

from ocg.errors import Code, OcgError
from ocg.protocol.tooling import Edit
from ocg.tool.nearest import nearest
from ocg.tool.shown import excerpt
from ocg.tool.text import Text
from ocg.tool.workspace import Workspace

_AROUND = 3
_MOST_SHOWN_LINES = 40
_MOST_PLACES = 10
_NUMBERED = re.compile(r" *\d+\t")


def edit(workspace: Workspace, asked: Edit) -> str:
    """Change it, and show how it reads now."""
    file = Text.of(asked.path, workspace.read(asked.path))
    old, new = _as_in(file, asked.old_string), _as_in(file, asked.new_string)
    if old == new:
        raise OcgError(Code.INVALID_REQUEST, "old_string and new_string are the same", "say what is to change")
    count = file.text.count(old)
    if not count:
        raise _absent(asked.path, file.text, old)
    if count > 1 and not asked.replace_all:
        raise _several(asked.path, file.text, old, count)
    text = file.text.replace(old, new)
    workspace.write(asked.path, file.replaced(text))
    if count > 1:
        return f"changed {asked.path} in {count} places"
    begin = file.text.count("\n", 0, file.text.index(old))
    end = begin + min(new.count("\n") + 1, _MOST_SHOWN_LINES)
    return f"changed {asked.path}:\n{excerpt(_lines(text), begin - _AROUND, end + _AROUND)}"


def _lines(text: str) -> list[str]:
    return text.removesuffix("\n").split("\n")


def _as_in(file: Text, text: str) -> str:
    return text.replace("\r\n", "\n") if file.has_crlf else text


def _absent(path: str, text: str, old: str) -> OcgError:
    lines = old.split("\n")
    why = f"old_string is not in {path}{nearest(_lines(text), lines)}"
    if all(_NUMBERED.match(line) for line in lines if line):
        return OcgError(Code.INVALID_REQUEST, why, "leave out the numbers of the lines, and the tab behind them")
    return OcgError(Code.INVALID_REQUEST, why, "copy the text as it stands in the file")


def _several(path: str, text: str, old: str, count: int) -> OcgError:
    places = (text.count("\n", 0, found.start()) + 1 for found in re.finditer(re.escape(old), text))
    at = ", ".join(map(str, islice(places, _MOST_PLACES))) + (" …" if count > _MOST_PLACES else "")
    why = f"old_string is in {path} {count} times: from the lines {at}"
    return OcgError(Code.INVALID_REQUEST, why, "give more of the lines around the one you mean, or set replace_all")
