"""Reasoning that a model writes into its text: `<think>…</think>` at the very beginning, told apart as it comes."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

_OPEN, _CLOSE = "<think>", "</think>"


@dataclass(frozen=True, slots=True)
class Reasoning:
    """More of what the model thinks before it answers; it is shown apart, and is no part of the answer."""

    text: str


class _Place(Enum):
    START = auto()
    THINKING = auto()
    AFTER = auto()
    TEXT = auto()


@dataclass(slots=True)
class ThinkSplitter:
    """Takes a text in chunks cut anywhere; holds back only what may yet turn out to be a tag."""

    _place: _Place = _Place.START
    _held: str = ""

    def take(self, chunk: str) -> Iterator[str | Reasoning]:
        """Give what a chunk adds, without tags and the blank space behind them."""
        self._held += chunk
        if self._place is _Place.START and self._held:
            self._leave_start()
        if self._place is _Place.THINKING:
            yield from self._thought()
        if self._place is _Place.AFTER:
            self._held = self._held.lstrip()
            if self._held:
                self._place = _Place.TEXT
        if self._place is _Place.TEXT and self._held:
            yield self._release()

    def end(self) -> Iterator[str | Reasoning]:
        """Give what was held back, as there is nothing more to come."""
        if self._held and self._place is not _Place.AFTER:
            is_thought = self._place is _Place.THINKING
            text = self._release()
            yield Reasoning(text) if is_thought else text

    def _leave_start(self) -> None:
        """Decide what the text begins with, once that is known."""
        begun = self._held.lstrip()
        if begun.startswith(_OPEN):
            self._place, self._held = _Place.THINKING, begun[len(_OPEN) :]
        elif not _OPEN.startswith(begun):
            self._place = _Place.TEXT

    def _thought(self) -> Iterator[Reasoning]:
        thought, tag, rest = self._held.partition(_CLOSE)
        if tag:
            self._place, self._held = _Place.AFTER, rest
        else:
            kept = begun(thought, _CLOSE)
            thought, self._held = thought[: len(thought) - kept], thought[len(thought) - kept :]
        if thought:
            yield Reasoning(thought)

    def _release(self) -> str:
        text, self._held = self._held, ""
        return text


def begun(text: str, tag: str) -> int:
    """How many characters at the end of a text may be the beginning of a tag."""
    return next((size for size in range(len(tag) - 1, 0, -1) if text.endswith(tag[:size])), 0)
