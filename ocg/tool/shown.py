"""How lines are shown to the model: with their numbers, and never so many that the middle is cut out of them."""

from collections.abc import Iterable, Sequence

MAX_CHARS = 14_000  # the agent cuts what is longer than 16,000 in its middle (ocg/agent/results.py)
_LINE_CHARS = 2000


def numbered(number: int, line: str, chars: int = _LINE_CHARS) -> str:
    """Write a line with its number, as `cat -n` does."""
    return f"{number:6}\t{cut(line, chars)}"


def cut(line: str, chars: int) -> str:
    """Cut a line that is too long."""
    return line if len(line) <= chars else f"{line[:chars]} [… {len(line) - chars} more in this line]"


def excerpt(lines: Sequence[str], begin: int, end: int) -> str:
    """Show lines from an index to another."""
    begin, end = max(begin, 0), min(end, len(lines))
    return "\n".join(numbered(at + 1, lines[at], 200) for at in range(begin, end))


def listed(lines: Iterable[str], limit: int, more: str) -> str:
    """Put lines together as far as there is room, and say how many `more` there are."""
    shown: list[str] = []
    room, left_out = MAX_CHARS, 0
    for line in lines:
        if left_out or len(shown) == limit or len(line) >= room:
            left_out += 1
        else:
            shown.append(line)
            room -= len(line) + 1
    return "\n".join([*shown, *([f"… and {left_out} {more}"] if left_out else [])])
