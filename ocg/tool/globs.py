"""Patterns for files: `*`, `?` and `[a-z]` within a folder's name, `**` for any folders, `{a,b}` for one of several.

Each part of a path is looked at once for each part of a pattern, whatever both are made of.
"""

import re
from collections.abc import Callable, Sequence
from fnmatch import translate

from ocg.errors import Code, OcgError

_MOST = 100
_BRACES = re.compile(r"\{([^{}]*)\}")

_Part = Callable[[str], object]


def compiled(pattern: str) -> Callable[[str], bool]:
    """Return what says whether a path fits. A pattern without a slash fits the name in any folder."""
    every = [_parts(one) for one in _expanded(pattern)]
    return lambda path: any(_fits(path.split("/"), parts) for parts in every)


def _parts(pattern: str) -> list[_Part | None]:
    if "/" not in pattern:
        pattern = f"**/{pattern}"
    names = [name for name in pattern.split("/") if name not in {"", "."}]
    return [None if name == "**" else re.compile(translate(name)).match for name in names]


def _expanded(pattern: str) -> list[str]:
    """Write braces out."""
    found, done = [pattern], list[str]()
    while found:
        one = found.pop()
        braces = _BRACES.search(one)
        if braces is None:
            done.append(one)
        else:
            found += [one[: braces.start()] + choice + one[braces.end() :] for choice in braces[1].split(",")]
        if len(found) + len(done) > _MOST:
            raise OcgError(Code.INVALID_REQUEST, f"{pattern} stands for too many patterns", "use fewer braces")
    return done


def _fits(names: Sequence[str], parts: Sequence[_Part | None]) -> bool:
    """Go along the path with all the places in the pattern where we may be."""
    places = _past(parts, {0})
    for name in names:
        stays = {at for at in places if at < len(parts) and parts[at] is None}
        passed = {at + 1 for at in places if at < len(parts) and (part := parts[at]) is not None and part(name)}
        places = _past(parts, stays | passed)
        if not places:
            return False
    return len(parts) in places


def _past(parts: Sequence[_Part | None], places: set[int]) -> set[int]:
    """`**` may stand for no folder at all."""
    found = set(places)
    for at, part in enumerate(parts):
        if part is None and at in found:
            found.add(at + 1)
    return found
