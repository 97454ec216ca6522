"""Where an answer stops: before the first of some texts, also with an API that does not look for them."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass, replace

from ocg.agent.providers.base import Piece, Reply
from ocg.protocol.thinking import begun


async def stopped(pieces: AsyncIterator[Piece], stops: Sequence[str]) -> AsyncGenerator[Piece, None]:
    """Give an answer up to the first of `stops`; the rest is read all the same, for what it took."""
    stopper, said = _Stopper(stops), ""
    async for piece in pieces:
        match piece:
            case str() if stops:
                shown = stopper.take(piece)
            case Reply() if stops:
                shown = stopper.take(piece.text[stopper.taken :]) + stopper.end()
            case _:
                yield piece
                continue
        said += shown
        if shown:
            yield shown
        if isinstance(piece, Reply):
            yield replace(piece, text=said, tool_calls=(), opaque="", is_cut=False) if stopper.is_over else piece


@dataclass(slots=True)
class _Stopper:
    """Holds back what may yet turn out to be one of the texts."""

    stops: Sequence[str]
    taken: int = 0
    is_over: bool = False
    _held: str = ""

    def take(self, text: str) -> str:
        """Give what surely comes before any of them."""
        self.taken += len(text)
        if self.is_over:
            return ""
        self._held += text
        # However the text is cut, the one that is whole first ends it.
        found = [(at + len(stop), at) for stop in self.stops if (at := self._held.find(stop)) >= 0]
        self.is_over = bool(found)
        kept = max(begun(self._held, stop) for stop in self.stops)
        at = min(found)[1] if found else len(self._held) - kept
        shown, self._held = self._held[:at], self._held[at:]
        return shown

    def end(self) -> str:
        """Give what was held back, as there is nothing more to come."""
        return "" if self.is_over else self._held
