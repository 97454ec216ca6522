"""Log files where no journal takes them. They lie in /tmp, so nothing there is followed or trusted."""

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ocg.errors import Code, OcgError

_ROTATE_BYTES = 10 << 20
_TAIL_BYTES = 16384
# As logging writes times; ISO 8601 sorts as text.
_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}")


def open_log(folder: Path, service: str) -> int:
    """Open a service's log for appending (mode 0600), the old one put aside once it is over 10 MiB.

    Raises UNSAFE_PATH when what lies there is not a file of ours.
    """
    path = folder / f"{service}.log"
    descriptor = _open(path)
    if os.fstat(descriptor).st_size > _ROTATE_BYTES:
        os.close(descriptor)
        path.replace(path.with_suffix(".log.1"))
        descriptor = _open(path)
    return descriptor


def _open(path: Path) -> int:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    except OSError as error:
        raise OcgError(
            Code.UNSAFE_PATH, f"{path} cannot be written: {error.strerror}", "remove it, or set OCG_LOG_DIR"
        ) from None
    status = os.fstat(descriptor)
    if status.st_uid != os.geteuid() or not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise OcgError(
            Code.UNSAFE_PATH,
            f"{path} belongs to user {status.st_uid}",
            "remove it, or set OCG_LOG_DIR to another folder",
        )
    os.set_blocking(descriptor, True)
    return descriptor


def tail(folder: Path, service: str, *, since_bytes: int = 0, lines: int = 12) -> tuple[str, ...]:
    """Return the last lines of a service's log, none from before `since_bytes`."""
    try:
        with (folder / f"{service}.log").open("rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(min(since_bytes, size), size - _TAIL_BYTES))
            text = stream.read().decode("utf-8", "replace")
    except OSError:
        return ()
    return tuple(text.splitlines()[-lines:])


def _opened(path: Path) -> int:
    """Open a log to read. Raises UNSAFE_PATH when it is not a file of ours or of root's: it lies in /tmp."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise OcgError(Code.UNSAFE_PATH, f"{path} cannot be read: {error.strerror}", "set OCG_LOG_DIR") from None
    status = os.fstat(descriptor)
    if status.st_uid not in {os.geteuid(), 0} or not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise OcgError(
            Code.UNSAFE_PATH, f"{path} is not a log of ours (user {status.st_uid})", "remove it, or set OCG_LOG_DIR"
        )
    return descriptor


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a log: its time as text, and its lines, a traceback with what it belongs to."""

    time: str
    text: str


@dataclass(slots=True)
class Log:
    """A log file; `read_bytes` is how far it has been read, from where tail(1) can go on."""

    path: Path
    read_bytes: int = 0

    def records(self) -> Iterator[Record]:
        """Give the records; lines before the first time belong to none that is dated, and come first."""
        time, lines = "", list[str]()
        with open(_opened(self.path), "rb") as stream:
            for raw in stream:
                self.read_bytes += len(raw)
                line = raw.decode("utf-8", "replace")
                if begin := _TIME.match(line):
                    if lines:
                        yield Record(time, "\n".join(lines))
                    time, lines = begin[0], []
                lines.append(line.rstrip("\n"))
        if lines:
            yield Record(time, "\n".join(lines))
