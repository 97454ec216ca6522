"""The watchdog's ping, which is earned: the event loop turns, and no worker thread is stuck in a call."""

import asyncio
import logging
from collections.abc import Iterable

from ocg.lifecycle.notify import Notifier, watchdog_s
from ocg.lifecycle.worker import Worker

_log = logging.getLogger(__name__)
# An entry of our journal catalog: `journalctl -x` says what to do.
HUNG_MESSAGE_ID = "5d4ac9a0d1f84a0c9d3cc6c4f0a7a9d2"


async def ping(notifier: Notifier, workers: Iterable[Worker]) -> None:
    """Ping, twice in WatchdogSec=, while all is well. Once it is withheld, the manager ends us and starts us anew.

    A worker is stuck when its job shows no progress for WatchdogSec=; a slow job that shows some is not.
    """
    limit_s = watchdog_s()
    if limit_s is None:
        return
    told = False
    while True:
        stuck = [worker for worker in workers if worker.silent_s > limit_s]
        if not stuck:
            notifier.watchdog()
        elif not told:
            names = ", ".join(worker.name for worker in stuck)
            notifier.status(f"Hung: {names}")
            _log.critical(
                "thread %s shows no progress for %g s: the watchdog's ping is withheld",
                names,
                limit_s,
                extra={"fields": {"MESSAGE_ID": HUNG_MESSAGE_ID, "OCG_WORKER": names}},
            )
        told = bool(stuck)
        await asyncio.sleep(limit_s / 2)
