"""What a model that remembers a file badly may have meant."""

import difflib
from collections.abc import Sequence

from ocg.tool.shown import excerpt

_AROUND = 3
_MAX_LINES = 10_000
_LINE_CHARS = 300


def nearest(lines: Sequence[str], wanted: Sequence[str]) -> str:
    """Show the lines of a file that are most like those that are not in it; nothing where none is."""
    first = next((at for at, line in enumerate(wanted) if line.strip()), None)
    if first is None:
        return ""
    begin = _place_of(lines[:_MAX_LINES], wanted[first])
    if begin is None:
        return ""
    begin -= first
    return "\nthe nearest there is:\n" + excerpt(lines, begin - _AROUND, begin + min(len(wanted), 20) + _AROUND)


def _place_of(lines: Sequence[str], wanted: str) -> int | None:
    short = [line.strip()[:_LINE_CHARS] for line in lines]
    found = difflib.get_close_matches(wanted.strip()[:_LINE_CHARS], set(short), n=1)
    return short.index(found[0]) if found else None
