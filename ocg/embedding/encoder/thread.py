"""A lane and the thread it computes in: texts are tokenized there, and laid into physical batches."""

import asyncio
import logging
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ocg.embedding.encoder.lane import Lane
from ocg.embedding.encoder.texts import Embedded, Failed, Outcome, Text, TooLong
from ocg.embedding.encoder.weights import Weights
from ocg.embedding.llama import CLOSE_S
from ocg.lifecycle.worker import Worker

if TYPE_CHECKING:
    from ocg.embedding.encoder.weights import Tokens

_log = logging.getLogger(__name__)


class LaneThread:
    """One of an encoder's lanes; its context is made when it is first needed."""

    def __init__(self, worker: Worker, weights: Weights) -> None:
        self.worker = worker
        self._weights = weights
        self._lane: Lane | None = None

    def prepare(self) -> Lane:
        """Return the lane, from within the thread. Raises CONFIG_INVALID for a model that is not for embedding."""
        if self._lane is None:
            self._lane = Lane(self._weights, threads=1)
        return self._lane

    def adopt(self, weights: Weights) -> None:
        """Go on with other weights of the same model, from within the thread."""
        was_made = self._lane is not None
        self._free()
        self._weights = weights
        if was_made:
            self.prepare()

    def embed(self, texts: Sequence[Text], *, threads: int) -> list[Outcome]:
        """Embed texts, from within the thread, and return what became of each."""
        try:
            lane = self.prepare()
            tokens = [self._tokens(text) for text in texts]
            outcomes: list[Outcome] = [TooLong(len(one)) for one in tokens]
            for batch in _batches(tokens, self._weights.context):
                vectors = lane.encode([tokens[at] for at in batch], threads=threads)
                for at, vector in zip(batch, vectors, strict=True):
                    outcomes[at] = Embedded(vector, len(tokens[at]))
        except Exception:  # noqa: BLE001 - whatever it was, the next batch may do better
            _log.exception("a batch of %d texts failed", len(texts))
            return [Failed()] * len(texts)
        return outcomes

    def _tokens(self, text: Text) -> "Tokens":
        tokens = self._weights.tokenize(text.data)
        is_cut = text.truncate and len(tokens) > self._weights.context
        return self._weights.cut(tokens) if is_cut else tokens

    async def close(self) -> bool:
        """Free the lane, and say so; a thread that is in the middle of something is left to die with the process."""
        try:
            async with asyncio.timeout(CLOSE_S):
                await self.worker.run(self._free)
        except TimeoutError:
            return False
        await self.worker.close(CLOSE_S)
        return True

    def _free(self) -> None:
        if self._lane is not None:
            self._lane.close()
            self._lane = None


def _batches(tokens: "Sequence[Tokens]", room: int) -> Iterator[list[int]]:
    """Lay texts, by number, into batches that fit; those that fit in none are left out."""
    batch: list[int] = []
    used = 0
    for at, one in enumerate(tokens):
        if len(one) > room:
            continue
        if used + len(one) > room:
            yield batch
            batch, used = [], 0
        batch.append(at)
        used += len(one)
    if batch:
        yield batch
