"""A model's bytes as text, with stop texts found and cut off."""

import codecs
from collections.abc import Callable


class Writer:
    """Turns bytes into text and holds back what may be the beginning of a stop text.

    `found` is the stop text that ended it, `text` all that was given to `emit`.
    """

    def __init__(self, emit: Callable[[str], None], stop: tuple[str, ...]) -> None:
        self.text = ""
        self.found: str | None = None
        self._emit = emit
        self._stop = stop
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""

    def write(self, data: bytes) -> bool:
        """Take a token's bytes; return whether a stop text is complete."""
        self._held += self._decoder.decode(data)
        found = [(at, text) for text in self._stop if (at := self._held.find(text)) >= 0]
        if found:
            at, self.found = min(found)
            self._held = self._held[:at]
            return True
        self._give(len(self._held) - self._beginning())
        return False

    def close(self) -> None:
        """Give what is left."""
        if self.found is None:  # what follows a stop text belongs to nobody
            self._held += self._decoder.decode(b"", final=True)
        self._give(len(self._held))

    def _beginning(self) -> int:
        """How many characters at the end begin a stop text."""
        lengths = (n for text in self._stop for n in range(len(text) - 1, 0, -1) if self._held.endswith(text[:n]))
        return max(lengths, default=0)

    def _give(self, length: int) -> None:
        if length:
            self._emit(self._held[:length])
            self.text += self._held[:length]
            self._held = self._held[length:]
