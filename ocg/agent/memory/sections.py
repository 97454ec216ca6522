"""A Markdown file as memories: one for each paragraph and list item, under the headings it stands below."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

MAX_SECTIONS = 1000
_MAX_CHARS = 2000
_HEADING = re.compile(r"(#{1,6})[ \t]+(.+?)(?:[ \t]+#+)?[ \t]*$")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_ITEM = re.compile(r"(?:[-*+]|\d{1,9}[.)])[ \t]+(?=\S)")
_RULE = re.compile(r" {0,3}([-*_=])(?:[ \t]*\1){2,}[ \t]*$")


@dataclass(frozen=True, slots=True)
class Section:
    """A piece of a file; `heading` is the nearest one above, `text` begins with it so that it stands on its own."""

    heading: str
    text: str


def sections(markdown: str) -> list[Section]:
    """Split a file; a longer piece than 2,000 characters becomes several, and no more than 1,000 are taken."""
    made: dict[Section, None] = {}  # a piece that stands there twice is one memory
    for heading, block in _blocks(_without_front_matter(markdown)):
        room = _MAX_CHARS - len(heading) - 2
        for part in _cut(block, room):
            made[Section(heading, f"{heading}: {part}" if heading else part)] = None
            if len(made) == MAX_SECTIONS:
                return list(made)
    return list(made)


def _without_front_matter(markdown: str) -> str:
    """Leave out the YAML between two lines `---` with which many notes begin."""
    if not markdown.startswith("---\n"):
        return markdown
    end = markdown.find("\n---\n", 3)
    return markdown if end < 0 else markdown[end + 5 :]


def _blocks(markdown: str) -> Iterator[tuple[str, str]]:
    """Give each block with its heading."""
    heading, block, fence = "", [], ""
    for line in [*markdown.splitlines(), ""]:
        if fence:
            block.append(line)
            if line.strip().startswith(fence) and not line.strip().strip(fence[0]):
                fence = ""
            continue
        opened, title = _FENCE.match(line), _HEADING.match(line)
        if title or not line.strip() or _ITEM.match(line) or _RULE.match(line):
            if text := _joined(block):
                yield heading, text
            block = []
        if title:
            heading = title[2][:200]
        elif opened:
            fence = opened[1]
            block.append(line)
        elif line.strip() and not _RULE.match(line):
            block.append(_ITEM.sub("", line, count=1) if _ITEM.match(line) else line)
    if text := _joined(block):  # a fence that is never closed
        yield heading, text


def _joined(block: list[str]) -> str:
    return "\n".join(line.rstrip() for line in block).strip()


def _cut(text: str, room: int) -> Iterator[str]:
    """Cut a long text where a line, a sentence or a word ends."""
    while len(text) > room:
        end = max(text.rfind(mark, room // 2, room) + len(mark) for mark in ("\n", ". ", "。"))
        if end <= room // 2:
            end = text.rfind(" ", room // 2, room) + 1 or room
        yield text[:end].strip()
        text = text[end:].strip()
    if text:
        yield text
