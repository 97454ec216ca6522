"""The folder with hooks: a folder an event, whose files are called in the order of their names."""

import re
import stat
from collections.abc import Iterator
from pathlib import Path

from ocg.config import ownfile
from ocg.protocol.hooks import Hook

NAME = "hooks"
GUARDED = "tool.call"
EVENTS = (
    "agent.started",
    "agent.stopping",
    "approval.answered",
    "approval.asked",
    "session.deleted",
    GUARDED,
    "tool.result",
    "turn.completed",
    "turn.failed",
    "turn.started",
)
_MAX_HOOKS = 16
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def everything(data_dir: Path) -> tuple[Hook, ...]:
    """Return all there are. Raises OSError when that cannot be read."""
    root = data_dir / NAME
    if not root.is_dir():
        return ()
    return tuple(hook for folder in sorted(root.iterdir()) for hook in _of(data_dir, folder.name))


def of_event(data_dir: Path, event: str) -> tuple[Hook, ...]:
    """Return those of an event. Raises OSError when that cannot be read."""
    return tuple(_of(data_dir, event)) if (data_dir / NAME / event).is_dir() else ()


def _of(data_dir: Path, event: str) -> Iterator[Hook]:
    folder = data_dir / NAME / event
    if not folder.is_dir():
        yield Hook("", event, "off", "it stands in the folder of no event")
        return
    why = "" if event in EVENTS else f"there is no event {event}"
    doubt = "" if all(ownfile.is_ours(one.lstat(), data_dir) for one in (folder.parent, folder)) else _DOUBT
    for number, file in enumerate(sorted(folder.iterdir())):
        why = "there are too many" if number >= _MAX_HOOKS else why
        yield Hook(event, file.name, "off", why) if why else _judged(data_dir, event, file, doubt)


_DOUBT = "others may write there: chmod go-w it and its folders, and chown them to the user of OCG"


def _judged(data_dir: Path, event: str, file: Path, doubt: str) -> Hook:
    status = file.lstat()
    if not _NAME.fullmatch(file.name):
        return Hook(event, file.name, "off", "a name is of letters, digits, '.', '_' and '-'")
    if stat.S_ISLNK(status.st_mode):
        return Hook(event, file.name, "refused", "it is a link, and where it leads is not in the cage")
    if not stat.S_ISREG(status.st_mode) or not status.st_mode & stat.S_IXUSR:
        return Hook(event, file.name, "off", "it is no file that can be run: chmod +x it")
    if doubt or not ownfile.is_ours(status, data_dir):
        return Hook(event, file.name, "refused", doubt or _DOUBT)
    return Hook(event, file.name, "on")
