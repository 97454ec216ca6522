"""Logging, set up once a process: level prefixes for the journal, colour on a terminal, times in a file."""

import logging
import os
import sys

# sd-daemon(3): a line's leading <N> is its syslog priority.
_PRIORITY = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}
_COLOUR = {logging.WARNING: "\x1b[33m", logging.ERROR: "\x1b[31m", logging.CRITICAL: "\x1b[1;31m"}


class _JournalFormatter(logging.Formatter):
    """Every line of a record carries its priority, so that a traceback keeps it too."""

    def format(self, record: logging.LogRecord) -> str:
        prefix = f"<{_PRIORITY.get(record.levelno, 6)}>"
        return "\n".join(prefix + line for line in super().format(record).splitlines())


class _TerminalFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        colour = _COLOUR.get(record.levelno)
        text = super().format(record)
        return f"{colour}{text}\x1b[0m" if colour else text


def set_up(level: str = "INFO") -> None:
    """Send all logging to standard error in the form that fits what it is connected to."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_formatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for chatty in ("asyncio", "uvicorn.error", "faiss.loader"):  # their INFO lines say what ours say already
        logging.getLogger(chatty).setLevel(logging.WARNING)
    # uvicorn says it of every WebSocket that is refused with an answer, which ASGI's own extension is for.
    quirk = "ASGI callable returned without completing handshake."
    logging.getLogger("uvicorn.error").addFilter(lambda record: record.msg != quirk)
    logging.raiseExceptions = False


def _formatter() -> logging.Formatter:
    if _is_journal():
        return _JournalFormatter("%(name)s: %(message)s")
    if sys.stderr.isatty():
        return _TerminalFormatter("%(asctime)s %(name)s: %(message)s", datefmt="%H:%M:%S")
    return logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")


def _is_journal() -> bool:
    """Whether standard error is the journal's stream (systemd.exec(5), $JOURNAL_STREAM)."""
    try:
        status = os.fstat(sys.stderr.fileno())
    except OSError:
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"
