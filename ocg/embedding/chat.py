"""The local chat model as a service: loaded at first use, one generation at a time, unloaded when nobody asks."""

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from ocg.embedding.generator import MAX_CONTEXT, Asked, Finish, Generator, Piece, Sampling
from ocg.embedding.llama import CLOSE_S
from ocg.embedding.metrics import Metrics
from ocg.errors import Code, OcgError
from ocg.lifecycle.worker import Worker
from ocg.models import catalog

_log = logging.getLogger(__name__)
MAX_WAITING = 16
_LOAD_S = 600.0  # a model of many GB is checked and loaded from a slow disk, and shows nothing meanwhile


class ChatModel:
    """Generates for several callers, one after the other; `locate` finds and checks the model's file."""

    def __init__(self, name: str, locate: Callable[[], Path], metrics: Metrics, *, threads: int, idle_s: float) -> None:
        self.name = name
        self._metrics = metrics
        self._locate = locate
        self._threads = threads
        self.idle_s = idle_s
        # Beside it embeddings, for which somebody waits as well and which take milliseconds, get most of the cores.
        self.worker = Worker("chat", nice=5)
        self._generator: Generator | None = None
        self._running: set[threading.Event] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._unloading: asyncio.Task[None] | None = None
        known = catalog.get(name)
        self.calls_tools = known is not None and known.tools
        # Of a model that the catalog does not have it is known once it was loaded.
        self.context = min(known.context, MAX_CONTEXT) if known else None

    @property
    def is_loaded(self) -> bool:
        """Whether the model takes memory now."""
        return self._generator is not None

    @asynccontextmanager
    async def generate(self, asked: Asked) -> AsyncIterator[AsyncIterator[Piece]]:
        """Give an iterator of texts, a call perhaps, and one Finish at its end; leaving the block ends the generation.

        Raises BUSY when too many wait, MODEL_MISSING, CONTEXT_LENGTH and what the generator raises.
        """
        if len(self._running) > MAX_WAITING:  # the worker's own queue would count those who have gone, too
            raise OcgError(Code.BUSY, f"{self.name} has too many requests waiting", "try again shortly")
        loop, pieces = asyncio.get_running_loop(), asyncio.Queue[Piece]()
        cancelled = threading.Event()

        def emit(piece: Piece) -> None:
            loop.call_soon_threadsafe(pieces.put_nowait, piece)

        job = asyncio.ensure_future(self.worker.run(lambda: self._run(asked, emit, cancelled)))
        self._running.add(cancelled)
        self._keep()
        try:
            with self._metrics.chat(self.name):
                yield _follow(job, pieces)
        finally:
            cancelled.set()
            job.cancel()
            self._running.discard(cancelled)
            self._keep()

    def _run(self, asked: Asked, emit: Callable[[Piece], None], cancelled: threading.Event) -> None:
        """Do one generation in the worker's thread."""
        if self._generator is None:
            began = time.monotonic()
            self.worker.beat(ahead_s=_LOAD_S)
            self._generator = Generator(self._locate(), threads=self._threads, beat=self.worker.beat)
            self.context = self._generator.context
            _log.info("%s loaded in %.2f s", self.name, time.monotonic() - began)
        finish = self._generator.run(asked, emit, cancelled)
        self._metrics.chatted(prompt_tokens=finish.prompt_tokens, completion_tokens=finish.completion_tokens)
        emit(finish)

    def _keep(self) -> None:
        """Begin the idle time anew; nobody's model is unloaded while a generation runs."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._running and self.idle_s:
            self._timer = asyncio.get_running_loop().call_later(self.idle_s, self._expired)

    def _expired(self) -> None:
        self._unloading = asyncio.get_running_loop().create_task(self._unload())

    async def _unload(self) -> None:
        try:
            await self.worker.run(self._free)
        except OcgError:
            self._keep()  # the queue is full, so it is not idle after all

    def _free(self) -> None:
        if self._generator is not None and not self._running:
            self._generator.close()
            self._generator = None
            _log.info("%s unloaded after %g s without a chat", self.name, self.idle_s)

    async def close(self) -> None:
        """End what runs. A thread that loads a large model cannot be ended: it goes with the process."""
        if self._timer is not None:
            self._timer.cancel()
        for cancelled in self._running:
            cancelled.set()
        await self.worker.close(CLOSE_S)


async def _follow(job: "asyncio.Future[None]", pieces: "asyncio.Queue[Piece]") -> AsyncIterator[Piece]:
    """Give pieces as they come; when the job fails, raise what it raised."""
    while True:
        getting = asyncio.ensure_future(pieces.get())
        try:
            both: set[asyncio.Future[Any]] = {getting, job}
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if not getting.done():
                job.result()  # raises what it raised
            piece = await getting
        finally:
            getting.cancel()
        yield piece
        if isinstance(piece, Finish):
            return


def sampling_of(
    *,
    max_tokens: int | None,
    temperature: float | None,
    top_p: float | None,
    seed: int | None,
    stop: str | tuple[str, ...] | None,
) -> Sampling:
    """Fill in what a request left out."""
    texts = (stop,) if isinstance(stop, str) else stop or ()
    if any(not text for text in texts):
        raise OcgError(Code.INVALID_REQUEST, "`stop` has an empty text", "leave it out")
    return Sampling(
        max_tokens=1024 if max_tokens is None else max_tokens,
        temperature=0.2 if temperature is None else temperature,
        top_p=0.95 if top_p is None else top_p,
        seed=seed,
        stop=texts,
    )
