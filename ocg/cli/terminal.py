"""What the CLI's output looks like: plain words, a little colour on a terminal, errors on standard error."""

import os
import re
import sys
import traceback
from typing import TextIO

from ocg.errors import OcgError

GREEN, YELLOW, RED, DIM, BOLD = "32", "33", "31", "2", "1"
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]|\r(?!\n)")


def paint(text: str, colour: str, stream: TextIO | None = None) -> str:
    """Colour a text where the stream is a terminal and NO_COLOR (no-color.org) is not set."""
    if not (stream or sys.stdout).isatty() or os.environ.get("NO_COLOR"):
        return text
    return f"\x1b[{colour}m{text}\x1b[0m"


def plain(text: str) -> str:
    """Write out what is no character to be seen: it may move the cursor, or turn the line round."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def still(text: str) -> str:
    """Write out what would have the terminal do something; lines and the spaces of all languages stay."""
    return _CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def rewrite(text: str) -> None:
    """Put a passing line in place of the last passing one; nowhere but on a terminal."""
    if sys.stdout.isatty():
        width = (os.get_terminal_size().columns or 80) - 1  # a terminal that does not know says 0
        print(f"\r\x1b[K{text[:width]}", end="", flush=True)


def line(text: str) -> None:
    """Print a line for good."""
    print(f"\r\x1b[K{text}" if sys.stdout.isatty() else text, flush=True)


def report(error: OcgError) -> None:
    """Print an error: what and why, then what to do."""
    print(f"{paint('ocg:', RED, sys.stderr)} {error.message}", file=sys.stderr)
    if error.hint:
        print(f"     {error.hint}", file=sys.stderr)


def report_bug() -> None:
    """Print the traceback of an error that none of our code foresaw, and which OCG it is."""
    from ocg.cli import build  # noqa: PLC0415 - only a bug needs it

    traceback.print_exc()
    mark = paint("ocg:", RED, sys.stderr)
    print(f"{mark} this is a bug in OCG; please report the lines above and this one: {build.text()}", file=sys.stderr)
