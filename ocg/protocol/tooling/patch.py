"""The patches that models write, in the grammar of Codex's apply_patch.

*** Begin Patch
*** Add File: a.txt
+its lines
*** Update File: b.py
*** Move to: c.py
@@ def f():
 a line that stays
-a line that goes
+a line that comes
*** Delete File: d.md
*** End Patch
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

_BEGIN, _END, _END_OF_FILE, _MOVE = "*** Begin Patch", "*** End Patch", "*** End of File", "*** Move to: "
_HEADER = re.compile(r"\*\*\* (Add|Delete|Update) File: (.+)")
_NUMBERS = re.compile(r"-\d+(,\d+)? \+\d+(,\d+)?( @@.*)?")  # of diff, which says nothing that we go by
_MAX_CHARS = 1 << 18  # it is read in the agent's event loop: some 0.1 s

Kind = Literal["Add", "Delete", "Update"]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Lines with their signs, somewhere below the lines `heads`, or at the file's end."""

    heads: tuple[str, ...]
    lines: tuple[tuple[str, str], ...]
    is_at_end: bool = False

    @property
    def old(self) -> tuple[str, ...]:
        """The lines as they stand in the file."""
        return tuple(text for sign, text in self.lines if sign != "+")


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of a file: one that is added has one chunk."""

    kind: Kind
    path: str
    chunks: tuple[Chunk, ...] = ()
    to: str = ""


def parse(text: str) -> tuple[Change, ...]:
    """Read a patch. Raises ValueError saying which line is wrong."""
    if len(text) > _MAX_CHARS:
        raise ValueError(f"a patch may have {_MAX_CHARS} characters")
    changes = tuple(_Reader(text).changes())
    if not changes:
        raise ValueError("the patch changes nothing")
    return changes


class _Reader:
    """Reads line by line."""

    def __init__(self, text: str) -> None:
        self._lines = [line.removesuffix("\r") for line in text.split("\n")]
        marks = [line.rstrip() for line in self._lines]
        if _BEGIN not in marks:
            raise ValueError(f"a patch begins with the line {_BEGIN!r}")
        self._at = marks.index(_BEGIN) + 1
        if _END not in marks[self._at :]:
            raise ValueError(f"a patch ends with the line {_END!r}")

    def changes(self) -> Iterator[Change]:
        while (line := self._lines[self._at].rstrip()) != _END:
            header = _HEADER.fullmatch(line)
            if header is None:
                raise self._wrong("expected *** Add File: PATH, *** Update File: PATH, *** Delete File: PATH")
            self._at += 1
            (kind,) = (one for one in get_args(Kind) if one == header[1])
            yield self._change(kind, self._path(header[2]))

    def _change(self, kind: Kind, path: str) -> Change:
        if kind == "Delete":
            return Change(kind, path)
        if kind == "Add":
            lines = tuple(self._signed())
            if any(sign != "+" for sign, _ in lines):
                raise ValueError(f"each line of the new file {path} begins with +")
            return Change(kind, path, (Chunk((), lines),))
        to = ""
        if (line := self._lines[self._at]).startswith(_MOVE):
            self._at += 1
            to = self._path(line.removeprefix(_MOVE))
        chunks = tuple(self._chunks())
        if not chunks and not to:
            raise self._wrong(f"nothing of {path} is changed")
        return Change(kind, path, chunks, to)

    def _chunks(self) -> Iterator[Chunk]:
        while not self._is_marker():
            heads = tuple(self._heads())
            lines = tuple(self._signed())
            if not lines:
                raise self._wrong("expected lines that begin with a space, - or +")
            is_at_end = self._is_end_of_file()
            self._at += is_at_end
            yield Chunk(heads, lines, is_at_end)

    def _heads(self) -> Iterator[str]:
        while (line := self._lines[self._at]).startswith("@@"):
            self._at += 1
            head = line[2:].removeprefix(" ")
            if head.strip() and not _NUMBERS.fullmatch(head.strip()):
                yield head

    def _signed(self) -> Iterator[tuple[str, str]]:
        """Give lines to the next `@@` or mark. An empty one stands for itself, but before a mark it only parts."""
        begin = self._at
        while not ((line := self._lines[self._at]).startswith("@@") or self._is_marker() or self._is_end_of_file()):
            if line and line[0] not in " -+":
                raise self._wrong("expected a line that begins with a space, - or +")
            self._at += 1
        lines = self._lines[begin : self._at]
        while lines and not lines[-1]:
            lines.pop()
        for line in lines:
            yield (line[0], line[1:]) if line else (" ", "")

    def _is_marker(self) -> bool:
        line = self._lines[self._at].rstrip()
        return line == _END or _HEADER.fullmatch(line) is not None

    def _is_end_of_file(self) -> bool:
        return self._lines[self._at].rstrip() == _END_OF_FILE

    def _path(self, text: str) -> str:
        if not text.strip():
            raise self._wrong("a path is expected here")
        return text.strip()

    def _wrong(self, why: str) -> ValueError:
        at = min(self._at, len(self._lines) - 1)
        return ValueError(f"line {at + 1} of the patch, {self._lines[at][:80]!r}: {why}")
