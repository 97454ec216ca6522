"""Logging, set up once a process: structured fields in the journal, colour on a terminal, times in a file."""

import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from ocg.imports import without_running

_PRIORITY = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}
_COLOUR = {logging.WARNING: "\x1b[33m", logging.ERROR: "\x1b[31m", logging.CRITICAL: "\x1b[1;31m"}
_about: ContextVar[Mapping[str, str]] = ContextVar("_about", default={})  # noqa: B039 - it is only ever replaced


@contextmanager
def about(**fields: str) -> Iterator[None]:
    """Give every record that is logged in this block journal fields (OCG_TURN, OCG_SESSION), by name."""
    token = _about.set({**_about.get(), **fields})
    try:
        yield
    finally:
        _about.reset(token)


class _JournalHandler(logging.Handler):
    """One record, one entry of the journal, with its fields (systemd.journal-fields(7)); a traceback stays whole."""

    def __init__(self) -> None:
        super().__init__()
        without_running("pystemd")
        from pystemd import journal  # noqa: PLC0415 - where a journal takes it

        self._send = journal.sendv
        self._identifier = os.path.basename(sys.argv[0]) or "ocg"  # noqa: PTH119 - a word, not a path

    def emit(self, record: logging.LogRecord) -> None:
        """Send it; fields come from `about()` and from the record's own `fields`."""
        try:
            self._send(
                MESSAGE=self.format(record),
                PRIORITY=str(_PRIORITY.get(record.levelno, 6)),
                SYSLOG_IDENTIFIER=self._identifier,
                LOGGER=record.name,
                **_about.get(),
                **getattr(record, "fields", {}),
            )
        except Exception:  # noqa: BLE001 - logging never breaks what it tells of
            self.handleError(record)


class _TerminalFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        colour = _COLOUR.get(record.levelno)
        text = super().format(record)
        return f"{colour}{text}\x1b[0m" if colour else text


def set_up(level: str = "INFO") -> None:
    """Send all logging to the journal or to standard error, in the form that fits what that is connected to."""
    logging.basicConfig(level=level, handlers=[_handler()], force=True)
    for chatty in ("asyncio", "uvicorn.error", "faiss.loader"):  # their INFO lines say what ours say already
        logging.getLogger(chatty).setLevel(logging.WARNING)
    # Their lines have URLs and messages in them, and so secrets; what goes wrong there, ours say.
    for talkative in ("mcp", "client", "httpx2", "httpcore2"):
        logging.getLogger(talkative).setLevel(logging.CRITICAL)
    # uvicorn says it of every WebSocket that is refused with an answer, which ASGI's own extension is for.
    quirk = "ASGI callable returned without completing handshake."
    logging.getLogger("uvicorn.error").addFilter(lambda record: record.msg != quirk)
    logging.raiseExceptions = False


def set_level(level: str) -> None:
    """Change what is logged from now on."""
    logging.getLogger().setLevel(level)


def _handler() -> logging.Handler:
    if _is_journal():
        handler: logging.Handler = _JournalHandler()
        handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
        return handler
    handler = logging.StreamHandler(sys.stderr)
    if sys.stderr.isatty():
        handler.setFormatter(_TerminalFormatter("%(asctime)s %(name)s: %(message)s", datefmt="%H:%M:%S"))
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    return handler


def _is_journal() -> bool:
    """Whether standard error is the journal's stream (systemd.exec(5), $JOURNAL_STREAM)."""
    try:
        status = os.fstat(sys.stderr.fileno())
    except OSError:
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"
