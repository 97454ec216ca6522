"""Reading a file of the workspace."""

from ocg.protocol.tooling import Read


def read(asked: Read) -> str:
    """Return lines with their numbers."""
    with open(asked.path, encoding="utf-8", errors="replace") as stream:
        lines = stream.read().splitlines()
    shown = lines[asked.offset - 1 : asked.offset - 1 + asked.limit]
    return "\n".join(f"{number:6}\t{line}" for number, line in enumerate(shown, start=asked.offset))
