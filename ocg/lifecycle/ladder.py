"""The signal ladder, seen from inside: SIGTERM asks to finish, SIGINT or 3 seconds ask to drop what still runs.

The third rung is not ours: systemd's TimeoutStopSec=, or the CLI, sends SIGKILL.
"""

import asyncio
import logging
import signal

RUNG_S = 3.0

_log = logging.getLogger(__name__)


class Ladder:
    """Two events, set by signals: `finish` comes first, `drop` after it or with it."""

    def __init__(self) -> None:
        self.finish = asyncio.Event()
        self.drop = asyncio.Event()
        self.signal: signal.Signals | None = None
        self._timer: asyncio.TimerHandle | None = None

    def install(self) -> None:
        """Take over SIGTERM and SIGINT for this event loop."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.terminate)
        loop.add_signal_handler(signal.SIGINT, self.interrupt)

    def close(self) -> None:
        """Forget the timer; the signals stay ours to the end, so that a late one does no harm."""
        if self._timer is not None:
            self._timer.cancel()

    def terminate(self) -> None:
        """SIGTERM: the first begins the stop, a further one changes nothing."""
        if not self.finish.is_set():
            self._begin(signal.SIGTERM)
            self._timer = asyncio.get_running_loop().call_later(RUNG_S, self._expired)

    def interrupt(self) -> None:
        """SIGINT: drop at once if a stop is under way, else begin one (Ctrl-C on a service run by hand)."""
        if self.finish.is_set():
            _log.info("SIGINT while stopping: what still runs is cancelled")
            self.drop.set()
        else:
            self._begin(signal.SIGINT)
            self._timer = asyncio.get_running_loop().call_later(RUNG_S, self._expired)

    def _begin(self, cause: signal.Signals) -> None:
        self.signal = cause
        _log.info("%s: stopping", cause.name)
        self.finish.set()

    def _expired(self) -> None:
        _log.warning("not done %g s after %s: what still runs is cancelled", RUNG_S, self.signal and self.signal.name)
        self.drop.set()
