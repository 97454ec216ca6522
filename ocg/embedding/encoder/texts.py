"""Texts that wait to be embedded: in turn by request, each once however many ask for it, as long as somebody does."""

import asyncio
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ocg.errors import Code, OcgError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float32]

_MAX_BYTES = 64 << 20
_BYTES_A_TOKEN = 4  # about; English has more, Chinese fewer


@dataclass(frozen=True, slots=True)
class Embedded:
    """A text's vector (shape [dim], float32, L2 norm 1) and how many tokens it had."""

    vector: "Vector"
    tokens: int


@dataclass(frozen=True, slots=True)
class TooLong:
    """A text that has more tokens than the model takes."""

    tokens: int


@dataclass(frozen=True, slots=True)
class Failed:
    """A text that llama.cpp failed at; the log says how."""


Outcome = Embedded | TooLong | Failed


@dataclass(eq=False, slots=True)
class Text:
    """One text, and the requests that wait for it."""

    data: bytes
    truncate: bool
    asked_by: "list[Request]" = field(default_factory=list)
    outcome: Outcome | None = None

    @property
    def size(self) -> int:
        """About how many tokens it has."""
        return len(self.data) // _BYTES_A_TOKEN + 2


@dataclass(eq=False, slots=True)
class Request:
    """What one caller waits for."""

    texts: list[Text]
    todo: deque[Text]
    missing: int
    done: "asyncio.Future[Text | None]"

    def tell(self, text: Text) -> None:
        """One more of its texts is done; the first that failed ends the wait, and is its result."""
        self.missing -= 1
        if self.done.done():
            return
        if not isinstance(text.outcome, Embedded):
            self.done.set_result(text)
        elif not self.missing:
            self.done.set_result(None)


class TextQueue:
    """Filled and told of outcomes in the event loop's thread, emptied by lanes in theirs."""

    def __init__(self, *, max_texts: int) -> None:
        self._max_texts = max_texts
        self._requests: deque[Request] = deque()
        self._known: dict[tuple[bytes, bool], Text] = {}
        self._bytes = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """How many wait for their vectors."""
        return len(self._known)

    def add(self, texts: Sequence[bytes], *, truncate: bool) -> Request:
        """Queue texts, each of which differs from the others. Raises BUSY when too much waits."""
        size = sum(map(len, texts))
        # A request that is larger than the bound has its chance, too: when nothing else waits.
        if self._known and (len(self._known) + len(texts) > self._max_texts or self._bytes + size > _MAX_BYTES):
            raise OcgError(Code.BUSY, f"{len(self._known)} texts wait to be embedded", "try again shortly")
        request = Request([], deque(), 0, asyncio.get_running_loop().create_future())
        for data in texts:
            request.texts.append(self._known.get((data, truncate)) or self._new(data, request, truncate=truncate))
        for text in request.texts:
            text.asked_by.append(request)
        request.missing = len(request.texts)
        with self._lock:
            self._requests.append(request)
        return request

    def _new(self, data: bytes, request: Request, *, truncate: bool) -> Text:
        text = self._known[data, truncate] = Text(data, truncate)
        self._bytes += len(data)
        request.todo.append(text)
        return text

    def leave(self, request: Request) -> None:
        """The caller has what it waited for, or waits no longer: what nobody else waits for is dropped."""
        for text in request.texts:
            if text.outcome is None:
                text.asked_by.remove(request)
                if not text.asked_by:
                    self._forget(text)

    def _forget(self, text: Text) -> None:
        if self._known.get((text.data, text.truncate)) is text:
            del self._known[text.data, text.truncate]
            self._bytes -= len(text.data)

    def take(self, room: int, max_texts: int) -> list[Text]:
        """Take texts of about `room` tokens together, one of each request in turn; at least one, if there is any."""
        taken: list[Text] = []
        with self._lock:
            while self._requests and len(taken) < max_texts:
                text = self._next(self._requests[0])
                if text is None:
                    self._requests.popleft()
                    continue
                if taken and text.size > room:
                    break
                room -= text.size
                taken.append(self._requests[0].todo.popleft())
                self._requests.rotate(-1)
        return taken

    @staticmethod
    def _next(request: Request) -> Text | None:
        """Return a request's next text that somebody still waits for."""
        while request.todo and not request.todo[0].asked_by:
            request.todo.popleft()
        return request.todo[0] if request.todo else None

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits for a lane."""
        return not self._requests

    def tell(self, texts: Sequence[Text], outcomes: Sequence[Outcome]) -> None:
        """Tell whoever waits what became of texts."""
        for text, outcome in zip(texts, outcomes, strict=True):
            text.outcome = outcome
            self._forget(text)
            for request in text.asked_by:
                request.tell(text)
