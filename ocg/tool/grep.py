"""Looking for a pattern in the lines of files.

Python's `re` may try for ever with a pattern such as `(a+)+$`. It heeds signals meanwhile, so an alarm ends it.
"""

import re
import signal
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from ocg.errors import Code, OcgError
from ocg.protocol.tooling import Grep
from ocg.protocol.tooling.files import MAX_FILE_BYTES
from ocg.tool.globs import compiled
from ocg.tool.shown import MAX_CHARS, cut
from ocg.tool.text import check_text, is_binary
from ocg.tool.walk import Found, files
from ocg.tool.workspace import Workspace

TIME_S = 10.0
_LINE_CHARS = 300
_GAP = "--"


def grep(workspace: Workspace, asked: Grep) -> str:
    """Return the lines that fit, with their numbers, below the path of their file."""
    report = _Report(asked.limit)
    try:
        with _time_limit():
            search = _pattern(asked).search
            for path, data in _searched(workspace, asked):
                report.add(path, _lines(data), search, asked.context)
    except _Late:
        report.why = f"stopped after {TIME_S:g} s: give a path or include, or a pattern that takes less time"
    return report.text() or f"nothing fits {asked.pattern}"


class _Late(Exception):  # noqa: N818 - no error; and no OSError, as TimeoutError is, which is taken for a file's
    """The time is over."""


@dataclass(slots=True)
class _Report:
    """What is shown of what was found."""

    limit: int
    lines: list[str] = field(default_factory=list)
    room: int = MAX_CHARS
    left_out: int = 0
    why: str = ""

    def add(self, path: str, lines: list[str], search: Callable[[str], object], around: int) -> None:
        """Take in what fits in a file."""
        found = [at for at, line in enumerate(lines) if search(line)]
        shown = _around(found[: self.limit], around, len(lines)) if self.room > 0 else []
        fits, last, said = set(found), -1, 0
        if shown:
            self._say(path)
        for at in shown:
            if self.room <= 0 or said == self.limit:
                break
            if around and -1 < last < at - 1:
                self._say(_GAP)
            self._say(f"{at + 1:6}{':' if at in fits else '-'} {cut(lines[at], _LINE_CHARS)}")
            last, said = at, said + (at in fits)
        self.limit -= said
        self.left_out += len(found) - said

    def text(self) -> str:
        """Write it out."""
        more = f"… and {self.left_out} more lines that fit: narrow it down" if self.left_out else ""
        return "\n".join([*self.lines, *(f"[{one}]" for one in (more, self.why) if one)])

    def _say(self, line: str) -> None:
        self.lines.append(line)
        self.room -= len(line) + 1


def _around(found: list[int], around: int, count: int) -> list[int]:
    return sorted({at for one in found for at in range(max(one - around, 0), min(one + around + 1, count))})


def _lines(data: bytes) -> list[str]:
    text = data.removesuffix(b"\n").decode("utf-8", "replace")
    return [line.removesuffix("\r") for line in text.split("\n")]


def _searched(workspace: Workspace, asked: Grep) -> Iterator[tuple[str, bytes]]:
    """Give the paths and contents that are searched: no binary files, and none that is too large."""
    found = workspace.stat(asked.path)
    if found is not None and not stat.S_ISDIR(found.st_mode):
        check_text(asked.path, data := workspace.read(asked.path))
        yield asked.path, data
        return
    fits = compiled(asked.include) if asked.include else None
    with workspace.folder(asked.path):  # or say that it is not there
        every = files(workspace, asked.path)
    for one in every:
        if (fits is None or fits(one.below)) and (data := _data(workspace, one)):
            yield one.path, data


def _data(workspace: Workspace, found: Found) -> bytes:
    if not stat.S_ISREG(found.stat.st_mode) or found.stat.st_size > MAX_FILE_BYTES:
        return b""
    with suppress(OcgError):  # gone meanwhile, or not ours to read
        data = workspace.read(found.path)
        return b"" if is_binary(data) else data
    return b""


def _pattern(asked: Grep) -> re.Pattern[str]:
    try:
        return re.compile(asked.pattern, re.IGNORECASE if asked.ignore_case else 0)
    except (re.error, RecursionError, OverflowError) as error:
        hint = "it is a regular expression of Python's: put a \\ before a character that stands for itself"
        raise OcgError(Code.INVALID_REQUEST, f"the pattern {asked.pattern!r}: {error}", hint) from None


@contextmanager
def _time_limit() -> Iterator[None]:
    before = signal.signal(signal.SIGALRM, _stop)
    signal.setitimer(signal.ITIMER_REAL, TIME_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _stop(signum: int, frame: object) -> None:
    del signum, frame
    raise _Late
