"""How many tokens texts take in the chat model's own tokenizer.

Only the model's vocabulary is loaded for it, in a thread of its own, so that nothing waits for a generation and no
weights take memory.
"""

import asyncio
import functools
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from ocg.embedding.llama import CLOSE_S, damaged, library
from ocg.errors import Code, OcgError
from ocg.lifecycle.worker import Worker

_log = logging.getLogger(__name__)
_LOAD_S = 120.0  # a vocabulary of 49,000 tokens takes 0.25 s and 18 MB; the disk may be slow
_MAX_WAITING = 64
MAX_CHARS = 4 << 20
# The worst of texts, which is all spaces, takes 15 ms then; a seam makes a token more at the most.
_BATCH_CHARS = 16 << 10

# Texts, or parts of them, and how many tokens they take, each with the place of its text.
_Batch = list[tuple[int, str]]
_Counts = list[tuple[int, int]]


class Vocabulary:
    """A model without its weights."""

    def __init__(self, path: Path) -> None:
        self._llama = library()
        parameters = self._llama.llama_model_default_params()
        parameters.vocab_only = True
        self._model = self._llama.llama_model_load_from_file(str(path).encode(), parameters)
        if not self._model:
            raise damaged(path, "it has no readable vocabulary")
        self._vocabulary = self._llama.llama_model_get_vocab(self._model)

    def count(self, text: str) -> int:
        """Return how many tokens a text takes, read as the generator reads it."""
        data = text.encode("utf-8")
        # Without room for them llama.cpp answers with how many there are, below zero.
        return abs(int(self._llama.llama_tokenize(self._vocabulary, data, len(data), None, 0, False, True)))

    def close(self) -> None:
        """Free it."""
        self._llama.llama_model_free(self._model)


class Tokens:
    """Counts; the vocabulary is loaded at first use and freed when nobody has asked for as long as `idle_s`."""

    def __init__(self, name: str, locate: Callable[[], Path], *, idle_s: float) -> None:
        self.name = name
        self.idle_s = idle_s
        self.worker = Worker("tokens", max_queue=_MAX_WAITING)
        self._locate = locate
        self._vocabulary: Vocabulary | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._freeing: asyncio.Task[None] | None = None

    async def count(self, texts: tuple[str, ...]) -> tuple[int, ...]:
        """Return how many tokens each text takes. Raises TOO_LARGE, BUSY, MODEL_MISSING, MODEL_DAMAGED."""
        if sum(map(len, texts)) > MAX_CHARS:
            why = f"the texts have more than {MAX_CHARS} characters"
            raise OcgError(Code.TOO_LARGE, why, "no model here reads as much; ask about less at once", param="texts")
        counts = [0] * len(texts)
        try:
            for batch in _batches(texts):
                for at, count in await self.worker.run(functools.partial(self._count, batch)):
                    counts[at] += count
        finally:
            self._keep()
        return tuple(counts)

    def _count(self, batch: _Batch) -> _Counts:
        found = self._loaded()
        return [(at, found.count(text)) for at, text in batch]

    def _loaded(self) -> Vocabulary:
        if self._vocabulary is None:
            began = time.monotonic()
            self.worker.beat(ahead_s=_LOAD_S)
            self._vocabulary = Vocabulary(self._locate())
            _log.debug("the vocabulary of %s loaded in %.2f s", self.name, time.monotonic() - began)
        return self._vocabulary

    def _keep(self) -> None:
        """Begin the idle time anew."""
        if self._timer is not None:
            self._timer.cancel()
        if self.idle_s:
            self._timer = asyncio.get_running_loop().call_later(self.idle_s, self._expired)

    def _expired(self) -> None:
        self._freeing = asyncio.get_running_loop().create_task(self._free_soon())

    async def _free_soon(self) -> None:
        try:
            await self.worker.run(self._free)
        except OcgError:
            self._keep()  # the queue is full, so it is not idle after all

    def _free(self) -> None:
        if self._vocabulary is not None:
            self._vocabulary.close()
            self._vocabulary = None

    async def close(self) -> None:
        """End the thread."""
        if self._timer is not None:
            self._timer.cancel()
        await self.worker.close(CLOSE_S)


def _batches(texts: tuple[str, ...]) -> Iterator[_Batch]:
    """Part texts into so little at a time that others, who wait for the same thread, wait for little."""
    batch: _Batch = []
    room = _BATCH_CHARS
    for at, text in enumerate(texts):
        for start in range(0, len(text), _BATCH_CHARS):
            part = text[start : start + _BATCH_CHARS]
            if len(part) > room:
                yield batch
                batch, room = [], _BATCH_CHARS
            batch.append((at, part))
            room -= len(part)
    if batch:
        yield batch
