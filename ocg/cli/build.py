"""Which OCG this is: what its package says it was built from, or what git says of a checkout."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import msgspec

from ocg import __version__

_ROOT = Path(__file__).parent.parent.parent
# Written by packaging/tools/hatch_build.py into what it builds; a checkout has none.
_FILE = Path(__file__).parent.parent / "build.json"
_TIMEOUT_S = 5


@dataclass(frozen=True, slots=True)
class Build:
    """A commit and the day (UTC) of the build, as far as they are known; and what was built, such as a deb."""

    commit: str
    date: str
    kind: str

    def __str__(self) -> str:
        """All that is known, in words."""
        commit = f"commit {self.commit}" if self.commit else ""
        date = f"built {self.date}" if self.date else ""
        return ", ".join(filter(None, (commit, date, self.kind)))


def find(root: Path = _ROOT, file: Path = _FILE) -> Build:
    """Find out; it never fails."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=Build)
    except (OSError, msgspec.MsgspecError):
        return Build(_commit(root), "", "checkout")


def text() -> str:
    """Say it in a line."""
    return f"ocg {__version__} ({find()})"


def _commit(root: Path) -> str:
    """Ask git, where it is the checkout's own: OCG may lie in somebody else's."""
    if not (root / ".git").exists():
        return ""
    # Every tag is left out, so that it is a commit; --dirty would else refresh the index, as root even.
    command = ("git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")
    environ = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
    try:
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=_TIMEOUT_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
