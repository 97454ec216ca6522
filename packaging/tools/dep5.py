"""debian/copyright in its machine-readable form, https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/."""

import re
from collections.abc import Iterable
from pathlib import Path

import licences
from bundled import Component

_HEADER = """\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: OCG
Comment:
 OCG is installed with its own copy of everything it requires. The licence of
 each part is named here by its SPDX identifier; the words its authors chose are
 in the folders *.dist-info beside its code.
"""


def write(components: Iterable[Component], site: Path) -> str:
    """Describe these components, those with more specific files later, since the last that matches counts."""
    every = tuple(components)
    by_ref = {one.ref: one for one in every}
    groups: dict[tuple[str, ...], list[Component]] = {}
    for one in every:
        groups.setdefault(one.files, [by_ref[one.within]] if one.within else []).append(one)
    files = [_paragraph(patterns, members) for patterns, members in groups.items()]
    names = sorted({name for members in groups.values() for name in licences.names(_expression(members))})
    return "\n".join((_HEADER, *files, *(_licence(name, site) for name in names)))


def _paragraph(patterns: tuple[str, ...], members: list[Component]) -> str:
    holders = dict.fromkeys(line for one in members for line in one.holders)
    lines = [
        "Files:" + "".join(f"\n {pattern}" for pattern in patterns),
        "Copyright:" + "".join(f"\n {line}" for line in holders),
        f"License: {_short(_expression(members))}",
        "Comment:" + "".join(f"\n {one.name} {one.version or ''}".rstrip() + f": {one.licence}" for one in members),
    ]
    return "\n".join(lines) + "\n"


def _expression(members: list[Component]) -> str:
    """Join licences. The form has no parentheses, so that of a choice within several the first is taken: Apache's."""
    if len(members) == 1:
        return members[0].licence
    chosen = (min(one.licence.split(" OR ")) for one in members)
    return " AND ".join(sorted({name for licence in chosen for name in licences.names(licence)}))


def _short(expression: str) -> str:
    """Write an SPDX expression as this form does."""
    lowered = expression.replace(" AND ", " and ").replace(" OR ", " or ")
    return re.sub(r" WITH (\S+)", r" with \1 exception", lowered)


def _licence(name: str, site: Path) -> str:
    licence, _, exception = name.partition(" WITH ")
    common = licences.COMMON.get(licence)
    text = (
        f"On Debian systems, the complete text of this licence can be found in\n{licences.COMMON_FOLDER / common}."
        if common
        else licences.text(licence, site)
    )
    if exception:
        text += "\n\nThe exception:\n\n" + licences.text(exception, site)
    body = "".join(f"\n {line.rstrip()}" if line.strip() else "\n ." for line in text.strip().splitlines())
    return f"License: {_short(name)}{body}\n"
