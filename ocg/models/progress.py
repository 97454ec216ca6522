"""How fetching tells what it is doing; whoever asked decides whether and how that is shown."""

from typing import Protocol


class Report(Protocol):
    """Told what is done ("downloading", "checking" …), how many bytes of it, and of how many (0 when unknown)."""

    def __call__(self, what: str, done_bytes: int, total_bytes: int, /) -> None:
        """Take a step's progress."""
