"""SKILL.md: a head of YAML between two lines of `---`, then instructions (https://agentskills.io/specification)."""

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from ocg.errors import Code, OcgError
from ocg.protocol.skills import Origin, Skill, SkillName

_PARTS = re.compile(r"\A\ufeff?---[ \t]*\n(.*?\n)---[ \t]*(?:\n(.*))?\Z", re.DOTALL)
_MAX_HEAD_CHARS = 8 << 10
_DEEPEST = 10
_MAX_DESCRIPTION_CHARS = 1024


def read(text: str, folder: str, origin: Origin) -> Skill:
    """Read what a skill says of itself. Raises INVALID_REQUEST saying what is wrong with it."""
    head = _head(_parted(text)[0])
    name = _field(head, "name") or folder.rpartition("/")[2]
    description = _field(head, "description")
    try:
        msgspec.convert(name, SkillName)
    except msgspec.ValidationError:
        raise _wrong(f"its name {name[:80]!r} is not up to 64 small letters, digits and single hyphens") from None
    if not description:
        raise _wrong("it has no description, by which the model knows when to use it")
    return Skill(
        name=name,
        description=" ".join(description.split())[:_MAX_DESCRIPTION_CHARS],
        origin=origin,
        folder=folder,
        license=_field(head, "license"),
        compatibility=_field(head, "compatibility"),
    )


def instructions(text: str) -> str:
    """Return what stands behind the head."""
    return _parted(text)[1].strip()


def _parted(text: str) -> tuple[str, str]:
    found = _PARTS.match(text.replace("\r\n", "\n"))
    if found is None:
        raise _wrong("it does not begin with a head between two lines of ---")
    return found[1], found[2] or ""


def _head(text: str) -> dict[Any, Any]:
    import yaml  # noqa: PLC0415 - 20 ms, and only where there are skills

    if len(text) > _MAX_HEAD_CHARS:
        raise _wrong(f"its head has more than {_MAX_HEAD_CHARS} characters")
    try:  # in Python, not in C, which would hold up everything else meanwhile
        _check(yaml.parse(text, yaml.SafeLoader))
        found = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:
        raise _wrong(f"its head is not YAML: {' '.join(str(error).split())[:300]}") from None
    if not isinstance(found, dict):
        raise _wrong("its head is not a mapping of YAML")
    return found


def _check(events: Iterable[Any]) -> None:
    """Refuse what takes YAML long out of all proportion: deep nesting, and aliases, which may multiply."""
    from yaml import AliasEvent, CollectionEndEvent, CollectionStartEvent  # noqa: PLC0415 - as above

    depth = 0
    for event in events:
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if depth > _DEEPEST or isinstance(event, AliasEvent):
            raise _wrong("its head has an alias, or is nested too deep")


def _field(head: dict[Any, Any], key: str) -> str:
    """Return a field's text; what is no text is none: nothing is made of what YAML can nest without end."""
    value = head.get(key)
    return value.strip() if isinstance(value, str) else ""


def _wrong(why: str) -> OcgError:
    return OcgError(Code.INVALID_REQUEST, why, "see docs/skills.md")
