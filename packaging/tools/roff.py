"""Manual pages in the macros of man(7), from text in which `this` is typed as it stands and *this* is replaced."""

import re
from collections.abc import Iterable

_MARKED = re.compile(r"`([^`]+)`|\*([^*]+)\*")
# groff would print typographical signs for these, which nobody can paste into a shell.
_TYPED = {"\\": r"\e", "-": r"\-", "'": r"\(aq", "`": r"\(ga", "^": r"\(ha", "~": r"\(ti"}


class Page:
    """A page that grows from its top to its end."""

    def __init__(self, name: str, section: int, day: str, version: str, summary: str) -> None:
        self.file = f"{name}.{section}"
        self._lines = [f'.TH {typed(name.upper())} {section} {day} "OCG {typed(version)}" "OCG manual"', ".nh", ".ad l"]
        self.section("Name")
        self._lines.append(rf"{typed(name)} \- {prose(summary)}")

    def section(self, title: str) -> None:
        """Begin a section."""
        self._lines.append(f".SH {title.upper()}")

    def part(self, title: str) -> None:
        """Begin a part of a section."""
        self._lines.append(f".SS {typed(title)}")

    def say(self, *paragraphs: str) -> None:
        """Add paragraphs."""
        for paragraph in paragraphs:
            self._lines += [".PP", _line(prose(paragraph))]

    def define(self, term: str, *texts: str) -> None:
        """Add a term, and what it is."""
        self._lines += [".TP", _line(prose(term)), _line(prose(texts[0]))]
        for text in texts[1:]:
            self._lines += [".IP", _line(prose(text))]

    def show(self, lines: Iterable[str]) -> None:
        """Add lines as somebody would type or read them."""
        self._lines += [".PP", ".RS 4", ".EX", *(_line(typed(line)) for line in lines), ".EE", ".RE"]

    def __str__(self) -> str:
        """Return the page as man(1) reads it."""
        return "\n".join(self._lines) + "\n"


def typed(text: str) -> str:
    """Return text that is to appear letter by letter."""
    return "".join(_TYPED.get(letter) or _ascii(letter) for letter in text)


def prose(text: str) -> str:
    """Return running text with its marks."""
    parts, at = [], 0
    for mark in _MARKED.finditer(text):
        parts.append(_plain(text[at : mark.start()]))
        parts.append(rf"\fB{typed(mark[1])}\fR" if mark[1] else rf"\fI{typed(mark[2])}\fR")
        at = mark.end()
    return "".join((*parts, _plain(text[at:])))


def _plain(text: str) -> str:
    text = text.replace("\\", r"\e").replace("~", r"\(ti").replace("--", r"\-\-")
    return "".join(_ascii(letter) for letter in text)


def _ascii(letter: str) -> str:
    return letter if letter.isascii() else f"\\[u{ord(letter):04X}]"


def _line(text: str) -> str:
    """Keep a line's first character from being taken for a request."""
    return rf"\&{text}" if text.startswith((".", "'")) else text
