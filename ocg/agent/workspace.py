"""The files by which a user says what the agent is and does: SOUL.md, INSTRUCTIONS.md (or AGENTS.md), USER.md.

They are the user's: made once, where there is no workspace yet, and never written again.
"""

import logging
import os
import re
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ocg.agent.reader import Reader
from ocg.protocol.tooling import USERS_OWN

_log = logging.getLogger(__name__)

MAX_FILE_BYTES = 24 << 10  # some 6,000 tokens of English: more than anybody writes by hand, and less than most contexts
_ROOT = 0
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
FILES = SOUL, INSTRUCTIONS, AGENTS, USER = USERS_OWN
IDENTITY = (
    "You are OCG, an assistant that runs on the user's own computer. Be truthful, and brief unless asked for more;"
    " answer in the user's language."
)
HOW = "When the answer needs a tool, use it."
DEFAULTS = {
    SOUL: f"<!-- Who the agent is and how it speaks. What stands in such marks is not shown to it. -->\n{IDENTITY}\n",
    INSTRUCTIONS: f"<!-- How it is to work: what to do, what never to do. -->\n{HOW}\n",
    USER: "<!-- Who you are, as far as the agent should always know it: name, language, work, habits. -->\n",
}


@dataclass(frozen=True, slots=True)
class Texts:
    """What the files say, without comments; `own` are the names of those that say something else than at first."""

    soul: str = IDENTITY
    instructions: str = HOW
    user: str = ""
    own: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Read:
    """A file's text, and what its stat was then."""

    stamp: tuple[int, ...]
    text: str


_All = tuple[dict[str, _Read], Texts]


class Workspace:
    """The folder; its files are read again when they have changed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._reader: Reader[_All] = Reader(str(folder), ({}, Texts()))

    async def prepare(self) -> None:
        """Make the folder with the files as they are at first, where it is not there."""

        def job(known: _All) -> _All:
            _make(self.folder)
            return _all(self.folder, known[0])

        try:
            await self._reader.read(job)
        except OSError as error:
            _log.warning("no workspace at %s: %s; the agent does without", self.folder, error.strerror)

    async def texts(self) -> Texts:
        """Return what the files say now; what they last said when that cannot be had in time."""
        return (await self._reader.read(lambda known: _all(self.folder, known[0])))[1]


def _make(folder: Path) -> None:
    """Make all of it or nothing: what a crash leaves half done is begun anew."""
    if folder.exists():
        _fill(folder)
        if folder.stat().st_mode & stat.S_ISVTX:
            _keep(folder)
        return
    begun = folder.with_name(f".{folder.name}.new")
    begun.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name, text in DEFAULTS.items():
        (begun / name).write_text(text, encoding="utf-8")
    with suppress(FileExistsError):
        begun.rename(folder)


def _fill(folder: Path) -> None:
    """Begin with a folder in which nothing shows: an installation makes one for tools, which are another user."""
    if any(not path.name.startswith(".") for path in folder.iterdir()):
        return
    for name, text in DEFAULTS.items():
        with (folder / name).open("x", encoding="utf-8") as stream:
            os.fchmod(stream.fileno(), 0o640)  # they may read it
            stream.write(text)


def _keep(folder: Path) -> None:
    """Have all four there, empty where they are not: the units keep from tools only what is there."""
    for name in FILES:
        with suppress(FileExistsError), (folder / name).open("x") as stream:
            os.fchmod(stream.fileno(), 0o640)


def _all(folder: Path, before: dict[str, _Read]) -> _All:
    now = {name: found for name in FILES if (found := _one(folder, name, before.get(name))) is not None}
    said = {name: _COMMENT.sub("", found.text).strip() for name, found in now.items()}
    first = {name: _COMMENT.sub("", text).strip() for name, text in DEFAULTS.items()}
    instructions = [said[name] for name in (INSTRUCTIONS, AGENTS) if said.get(name)]
    return now, Texts(
        soul=said.get(SOUL, IDENTITY),
        instructions="\n\n".join(instructions) if {INSTRUCTIONS, AGENTS} & said.keys() else HOW,
        user=said.get(USER, ""),
        own=frozenset(name for name, text in said.items() if text != first.get(name, "")),
    )


def _one(folder: Path, name: str, before: _Read | None) -> _Read | None:
    """Read a file unless it is as it was; None when it is not there or not to be trusted, which is told once."""
    path = folder / name
    try:
        inside, status = path.resolve(strict=True), path.stat()
    except OSError:
        return None
    if status.st_size == 0 and stat.S_ISREG(status.st_mode):
        return None  # it was made so that tools cannot make it (ocg/agent/confinement/bubblewrap.py)
    stamp = (status.st_mtime_ns, status.st_size, status.st_ino, status.st_ctime_ns)
    if before is not None and before.stamp == stamp:
        return before
    if not inside.is_relative_to(folder.resolve()):
        _log.warning("%s is not read: it is a link that leads out of the workspace", path)
        return _Read(stamp, "")
    try:
        return _Read(stamp, _text(inside, path))
    except OSError as error:
        _log.warning("%s cannot be read: %s", path, error.strerror)
        return _Read(stamp, "")


def _is_ours(status: os.stat_result) -> bool:
    """Whether no tool can have written it: with a hard link they give a file of ours any name, where they may write."""
    return status.st_uid in {_ROOT, os.getuid()} and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _text(inside: Path, path: Path) -> str:
    # Neither a link that has come since nor a FIFO is waited for.
    with os.fdopen(os.open(inside, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
        status = os.fstat(stream.fileno())
        if not stat.S_ISREG(status.st_mode):
            _log.warning("%s is not read: it is no file", path)
            return ""
        if path.parent.stat().st_mode & stat.S_ISVTX and not _is_ours(status):
            hint = "Have root own it, or the agent's user, and chmod go-w it"
            _log.warning("%s is not read: a tool may have written it. %s", path, hint)
            return ""
        data = stream.read(MAX_FILE_BYTES + 1)
    text = data[:MAX_FILE_BYTES].decode("utf-8", "replace").replace("\0", "")
    if len(data) > MAX_FILE_BYTES:
        _log.warning("%s is longer than %d bytes: the rest is not shown to the model", path, MAX_FILE_BYTES)
        return f"{text}\n[The rest of {path.name} is left out: it is too long.]"
    return text
