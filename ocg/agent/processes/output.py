"""What a program writes, kept as far as there is room for it."""

import codecs

_KEPT_BYTES = 1 << 20
_RECENT_BYTES = 1 << 18
# One that writes more than this says nothing that anybody reads.
MAX_BYTES = 64 << 20


class Ends:
    """The beginning and the end of an output; `total` is how many bytes it has."""

    def __init__(self, kept_bytes: int = _KEPT_BYTES) -> None:
        self._half = kept_bytes // 2
        self._head, self._tail = bytearray(), bytearray()
        self.total = 0

    def add(self, piece: bytes) -> None:
        """Take more."""
        self.total += len(piece)
        room = self._half - len(self._head)
        self._head += piece[:room]
        self._tail += piece[room:]
        del self._tail[: -self._half]

    def text(self) -> str:
        """Return it, with a note of what is left out."""
        lost = self.total - len(self._head) - len(self._tail)
        note = f"\n[… {lost} bytes are left out here …]\n".encode() if lost else b""
        return (self._head + note + self._tail).decode("utf-8", "replace")


class Recent:
    """The last of an output, of which each part is given once."""

    def __init__(self, kept_bytes: int = _RECENT_BYTES) -> None:
        self._kept_bytes = kept_bytes
        self._kept = bytearray()
        self._lost = 0
        # Of a character that is not there as a whole the rest comes with the next part.
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.total = 0

    def add(self, piece: bytes) -> None:
        """Take more, for which the oldest may have to go."""
        self.total += len(piece)
        self._kept += piece
        over = max(len(self._kept) - self._kept_bytes, 0)
        self._lost += over
        del self._kept[:over]

    def take(self) -> str:
        """Return what is new."""
        note = f"[… {self._lost} bytes are lost here …]\n" if self._lost else ""
        if self._lost:
            self._decoder.reset()
        text = note + self._decoder.decode(self._kept)
        self._kept.clear()
        self._lost = 0
        return text
