"""Files that carry our mark: written whole or not at all, kept when they are right, and only ours are touched."""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from ocg.errors import Code, OcgError

MARK = "Written by `ocg service install`"
Say = Callable[[str], None]


class Files:
    """Writes and removes, and says each time what it did."""

    def __init__(self, say: Say) -> None:
        self._say = say

    def write(self, path: Path, text: str, *, comment: str = "#") -> bool:
        """Put a file in its place at once; return whether it is new.

        Raises CONFLICT when one that is not ours lies there.
        """
        whole = f"{comment} {MARK}, which writes it anew each time: changes belong into a file beside it.\n{text}"
        old = _text(path)
        if old == whole:
            self._say(f"kept {path}")
            return False
        if path.is_symlink() or (old is not None and not _is_ours(old)):
            raise _stranger(path)
        make_folder(path.parent)
        replace(path, whole)
        self._say(f"wrote {path}")
        return True

    def remove(self, path: Path) -> None:
        """Remove a file of ours, and its folder of drop-ins once that is empty."""
        path.unlink()
        self._say(f"removed {path}")
        if path.parent.name.endswith(".d") and path.suffix == ".conf" and path.parent.name.startswith("ocg"):
            with suppress(OSError):  # a user's own drop-ins are in it
                path.parent.rmdir()

    def ours(self, folder: Path) -> Iterator[Path]:
        """Find the units and drop-ins in a folder that an install wrote, be it of an older version."""
        for path in sorted((*folder.glob("ocg*.*"), *folder.glob("ocg*.d/*.conf"))):
            if self.is_ours(path):
                yield path

    def is_ours(self, path: Path) -> bool:
        """Whether it is a file with our mark."""
        return not path.is_symlink() and path.is_file() and _is_ours(_text(path) or "")


def replace(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Write a file beside its place, and put it there when it is on the disk; a crash leaves the old one."""
    # One name for all times: what a crash leaves is overwritten by the next run. systemd reads no hidden files.
    beside = path.with_name(f".{path.name}.new")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    with open(descriptor, "w", encoding="utf-8") as stream:
        os.fchmod(descriptor, mode)
        stream.write(text)
        stream.flush()
        os.fsync(descriptor)
    os.replace(beside, path)


def make_folder(folder: Path, *, mode: int = 0o755) -> None:
    """Make a folder and those above it with this mode, whatever the umask; one that exists stays as it is."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        folder.chmod(mode)


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (UnicodeDecodeError, IsADirectoryError):
        return ""


def _is_ours(text: str) -> bool:
    return MARK in text.partition("\n")[0]


def _stranger(path: Path) -> OcgError:
    if path.is_symlink() and str(path.readlink()) == os.devnull:
        return OcgError(Code.CONFLICT, f"{path.name} is masked", f"systemctl unmask {path.name}, then try again")
    what = "a link" if path.is_symlink() else "a file that is not from `ocg service install`"
    return OcgError(Code.CONFLICT, f"{path} is {what}", "move it away, or make it a drop-in, then try again")
