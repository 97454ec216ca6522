"""How many tokens texts take in the chat model's own tokenizer.

Only the model's vocabulary is loaded for it, in a thread of its own, so that nothing waits for a generation and no
weights take memory.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path

from ocg.embedding.llama import CLOSE_S, damaged, library
from ocg.errors import OcgError
from ocg.lifecycle.worker import Worker

_log = logging.getLogger(__name__)
_LOAD_S = 120.0  # a vocabulary of 49,000 tokens takes 0.25 s and 18 MB; the disk may be slow
_MAX_WAITING = 64


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
        """Return how many tokens each text takes. Raises BUSY, MODEL_MISSING, MODEL_DAMAGED."""
        try:
            return await self.worker.run(lambda: self._count(texts))
        finally:
            self._keep()

    def _count(self, texts: tuple[str, ...]) -> tuple[int, ...]:
        found = self._loaded()
        counts = []
        for text in texts:
            self.worker.beat()
            counts.append(found.count(text))
        return tuple(counts)

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
