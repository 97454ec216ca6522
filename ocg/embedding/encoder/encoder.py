"""The embedding model: texts to vectors of length 1, on every core, each text computed once.

One lane a core, with a thread each, gets more texts done than one lane with all threads: a barrier between every two
steps of a small model costs more than it brings. A text that is alone may have all cores, for then only its own time
counts. What waits while a lane computes goes into its next batch, so that coalescing adds no wait of its own.
"""

import asyncio
import functools
import logging
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from ocg.embedding.encoder import halved
from ocg.embedding.encoder.cache import Cache, fingerprint
from ocg.embedding.encoder.lane import MAX_TEXTS
from ocg.embedding.encoder.pace import Pace
from ocg.embedding.encoder.texts import Embedded, Outcome, Text, TextQueue, TooLong
from ocg.embedding.encoder.thread import LaneThread
from ocg.embedding.encoder.weights import Weights
from ocg.embedding.llama import CLOSE_S
from ocg.embedding.metrics import Metrics
from ocg.errors import Code, OcgError
from ocg.lifecycle.worker import Worker
from ocg.protocol.messages import MAX_TEXT_CHARS
from ocg.protocol.openai import MAX_INPUTS

_log = logging.getLogger(__name__)

_MAX_LANES = 8  # each has buffers of its own
# Tokens in a batch. More of them make better use of the weights, but each pays attention over all: measured with MiniLM
# and texts of 16 tokens, a batch of 8 does the most texts a second.
_ROOM = 128


class Encoder:
    """One loaded embedding model."""

    def __init__(
        self, weights: Weights, lanes: Sequence[LaneThread], cache: Cache, metrics: Metrics, *, threads: int
    ) -> None:
        self._weights = weights
        self.name = weights.name
        self.dim = weights.dim
        self.context = weights.context
        self._lanes = lanes
        self._idle = list(reversed(lanes))
        self._threads = threads
        self._pace = Pace(threads)
        self._texts = TextQueue(max_texts=2 * MAX_INPUTS)
        self._cache = cache
        self._metrics = metrics
        metrics.waiting_texts.set_function(lambda: len(self._texts))
        self._loop = asyncio.get_running_loop()
        self._working: set[asyncio.Task[None]] = set()
        self.improving = self._loop.create_task(self._improve())

    @classmethod
    async def load(
        cls,
        path: Path,
        *,
        threads: int,
        cache_file: Path | None = None,
        cache_bytes: int = 0,
        metrics: Metrics | None = None,
    ) -> Self:
        """Load a GGUF that has been checked, and what its cache knows.

        Raises MODEL_DAMAGED when llama.cpp cannot load it, CONFIG_INVALID when it is no embedding model.
        """
        first = Worker("embedding")
        try:
            weights = await first.run(lambda: Weights(path))
            lanes = [LaneThread(first, weights)]
            await first.run(lanes[0].prepare)
        except OcgError:
            await first.close(CLOSE_S)
            raise
        others = range(2, min(threads, _MAX_LANES) + 1)
        lanes += [LaneThread(Worker(f"embedding-{number}"), weights) for number in others]
        cache = Cache(b"")
        if cache_file is not None:
            model = await first.run(lambda: fingerprint(path))
            cache = await Cache.open(cache_file, model=model, size_bytes=cache_bytes, dim=weights.dim)
        return cls(weights, lanes, cache, metrics or Metrics(), threads=threads)

    @property
    def workers(self) -> tuple[Worker, ...]:
        """The threads it works in."""
        return (*(lane.worker for lane in self._lanes), *self._cache.workers)

    async def embed(self, texts: Sequence[str], *, truncate: bool = False) -> list[Embedded]:
        """Embed texts; with `truncate`, the beginning of one that is too long.

        Raises INVALID_REQUEST for an empty text, CONTEXT_LENGTH with both numbers for one that is too long, BUSY when
        too much waits.
        """
        with self._metrics.embedding():
            coded = [_coded(text, at) for at, text in enumerate(texts)]
            found = await self._cache.find(coded)
            missing = [data for data in dict.fromkeys(coded) if data not in found]
            if missing:
                found |= await self._compute(missing, coded, truncate=truncate)
        tokens = sum(found[data].tokens for data in missing)
        self._metrics.embedded(computed=len(missing), cached=len(coded) - len(missing), tokens=tokens)
        return [found[data] for data in coded]

    async def _compute(
        self, missing: Sequence[bytes], asked: Sequence[bytes], *, truncate: bool
    ) -> dict[bytes, Embedded]:
        request = self._texts.add(missing, truncate=truncate)
        try:
            self._wake(math.ceil(sum(text.size for text in request.todo) / _ROOM))
            failed = await request.done
        finally:
            self._texts.leave(request)
        if failed is not None:
            raise self._explained(failed, asked)
        computed = {text.data: text.outcome for text in request.texts if isinstance(text.outcome, Embedded)}
        for data, one in computed.items():
            if one.tokens < self.context:  # or it may be the beginning of a longer one
                self._cache.keep(data, one)
        return computed

    def _explained(self, failed: Text, asked: Sequence[bytes]) -> OcgError:
        if not isinstance(failed.outcome, TooLong):
            return OcgError(Code.INTERNAL, "the model failed to embed a text", "see the log of ocg-embedding")
        return OcgError(
            Code.CONTEXT_LENGTH,
            f"text {asked.index(failed.data)} has {failed.outcome.tokens} tokens, {self.name} takes {self.context}",
            "split the text, send `truncate`: true, or choose a model with a longer context",
        )

    def _wake(self, wanted: int) -> None:
        """Set up to so many lanes to work that have none; each sees for itself what there is."""
        for _ in range(min(wanted, len(self._idle))):
            task = self._loop.create_task(self._work(self._idle.pop()))
            self._working.add(task)
            task.add_done_callback(self._working.discard)

    async def _work(self, lane: LaneThread) -> None:
        await lane.worker.run(lambda: self._drain(lane))

    def _drain(self, lane: LaneThread) -> None:
        """Embed, in the lane's thread, until nothing waits."""
        texts = self._texts.take(_ROOM, MAX_TEXTS)
        if not texts:  # another lane has taken them
            self._loop.call_soon_threadsafe(self._told, (), (), lane)
        while texts:
            lane.worker.beat()
            outcomes = self._embedded(lane, texts)
            following = self._texts.take(_ROOM, MAX_TEXTS)
            self._loop.call_soon_threadsafe(self._told, texts, outcomes, None if following else lane)
            texts = following

    def _told(self, texts: Sequence[Text], outcomes: Sequence[Outcome], idle: LaneThread | None) -> None:
        """Tell what became of texts. Before that a lane is idle: who asks again at once is to find it so."""
        if idle is not None:
            self._idle.append(idle)
        self._texts.tell(texts, outcomes)
        if idle is not None and not self._texts.is_empty:  # it came after the lane had looked
            self._wake(1)

    def _embedded(self, lane: LaneThread, texts: Sequence[Text]) -> list[Outcome]:
        busy = len(self._lanes) - len(self._idle)
        if busy > 1:
            return lane.embed(texts, threads=max(1, self._threads // busy))
        size = sum(text.size for text in texts)
        threads = self._pace.choose(size)
        began = time.monotonic()
        outcomes = lane.embed(texts, threads=threads)
        self._pace.learn(size, threads, time.monotonic() - began)
        return outcomes

    async def _improve(self) -> None:
        """Exchange the weights for faster ones, while it serves with those it has: making them takes 0.2 s."""
        old = self._weights
        if not halved.is_worthwhile(old):
            return
        maker = Worker("embedding-weights", nice=10)
        try:
            made = await maker.run(lambda: halved.halve(old, threads=self._threads))
        except OcgError as error:
            _log.warning("%s goes on with the weights it has: %s", self.name, error)
            return
        finally:
            await maker.close(CLOSE_S)
        self._weights = made
        for lane in self._lanes:
            await lane.worker.run(functools.partial(lane.adopt, made))
        old.close()
        self._pace = Pace(self._threads)
        _log.info("%s computes in F16, which is faster here", self.name)

    async def close(self) -> None:
        """Let what runs end; what is queued behind it is not waited for long."""
        self.improving.cancel()
        await asyncio.gather(self.improving, return_exceptions=True)
        freed = await asyncio.gather(*(lane.close() for lane in self._lanes))
        if all(freed):
            self._weights.close()
        await self._cache.close()


def _coded(text: str, at: int) -> bytes:
    """Return a text as UTF-8. Raises INVALID_REQUEST for one that cannot be embedded."""
    if len(text) > MAX_TEXT_CHARS:  # which alone take a second to tokenize
        raise OcgError(
            Code.INVALID_REQUEST, f"text {at} has {len(text)} characters of {MAX_TEXT_CHARS}", "split the text"
        )
    if not text.strip():
        raise OcgError(Code.INVALID_REQUEST, f"text {at} is empty", "send at least one letter")
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise OcgError(Code.INVALID_REQUEST, f"text {at} has a lone surrogate", "send valid Unicode") from None
