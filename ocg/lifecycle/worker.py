"""A daemon thread that a service owns, for what would block its event loop: SQLite, FAISS, llama.cpp.

asyncio's own executor is not it: its threads are waited for at exit, so that a stuck call outlives SIGTERM.
"""

import asyncio
import os
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

from ocg.errors import Code, OcgError

T = TypeVar("T")


class Worker:
    """One thread and a bounded queue of jobs, done in order; with a `nice` of more than 0 it gives way to others."""

    def __init__(self, name: str, *, max_queue: int = 1024, nice: int = 0) -> None:
        self.name = name
        self._nice = nice
        self._alive_s: float | None = None
        self._jobs: queue.Queue[tuple[Future[Any], Callable[[], Any]] | None] = queue.Queue(max_queue)
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    async def run(self, job: Callable[[], T]) -> T:
        """Do a job in the thread. Raises BUSY when the queue is full; a job not yet begun is dropped on cancel."""
        future: Future[T] = Future()
        if self._alive_s is None:  # a thread that does not take the job up is as stuck as one that does not end it
            self.beat()
        try:
            self._jobs.put_nowait((future, job))
        except queue.Full:
            raise OcgError(Code.BUSY, f"{self.name} has too many requests waiting", "try again shortly") from None
        return await asyncio.wrap_future(future)

    @property
    def silent_s(self) -> float:
        """Seconds since the job at work began or last showed progress; 0 when there is none."""
        alive_s = self._alive_s
        return 0.0 if alive_s is None else time.monotonic() - alive_s

    def beat(self, *, ahead_s: float = 0.0) -> None:
        """Show progress, from within a job; with `ahead_s`, ask for patience with what shows none for so long."""
        self._alive_s = time.monotonic() + ahead_s

    async def close(self, timeout_s: float = 3.0) -> None:
        """Do what is queued, then end the thread; one that is stuck is left to die with the process."""
        await asyncio.to_thread(self._end, timeout_s)

    def _end(self, timeout_s: float) -> None:
        try:
            self._jobs.put(None, timeout=timeout_s)
        except queue.Full:
            return
        self._thread.join(timeout_s)

    def _work(self) -> None:
        if self._nice:
            # Linux has a niceness for each thread, and those it starts (OpenMP's) inherit it: sched(7), setpriority(2).
            with suppress(PermissionError):  # a cage of somebody else's may forbid even this
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), self._nice)
        while (item := self._jobs.get()) is not None:
            self._do(*item)
            self._alive_s = None
            del item  # or it lives until the next job comes

    def _do(self, future: Future[Any], job: Callable[[], Any]) -> None:
        if not future.set_running_or_notify_cancel():
            return
        self.beat()
        try:
            future.set_result(job())
        except BaseException as error:  # noqa: BLE001 - it is raised again where the job was asked for
            future.set_exception(error)
