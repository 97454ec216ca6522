"""What the services execute, and what of it the units' cage would hide from them."""

import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import ocg
from ocg.errors import Code, OcgError
from ocg.managers.install import unitfile

# systemd.exec(5); a link such as /home -> /var/home is followed, there as here.
_PROTECT_HOME = ("/home", "/root", "/run/user")
_PRIVATE_TMP = ("/tmp", "/var/tmp")  # noqa: S108 - compared, not used
_PROGRAMS = ("ocg", "ocg-embedding", "ocg-agent", "ocg-gateway", "ocg-tool")
_MAX_LINKS = 40


@dataclass(frozen=True, slots=True)
class Program:
    """The folder of our scripts, the interpreter they run by, and the folders that this one reads."""

    scripts: Path
    interpreter: Path
    folders: tuple[Path, ...]

    @classmethod
    def here(cls) -> Self:
        """Describe the one that runs now. Raises UNAVAILABLE when it has no scripts of ours."""
        interpreter = Path(sys.executable)
        scripts = interpreter.parent
        missing = [name for name in _PROGRAMS if not (scripts / name).exists()]
        if missing:
            raise OcgError(
                Code.UNAVAILABLE,
                f"{scripts} has no {', '.join(missing)}",
                "install OCG into a virtual environment, and call its `ocg`",
            )
        prefixes = (Path(sys.prefix), Path(sys.base_prefix), Path(sys.base_exec_prefix))
        return cls(scripts, interpreter, (*prefixes, Path(ocg.__file__).parent))

    def hidden(self) -> tuple[Path, ...]:
        """List what lies where ProtectHome= and PrivateTmp= hide it: each path once, and none below another."""
        wanted = {place for path in (self.interpreter, *self.folders) for place in trail(path)}
        return _outermost(path for path in wanted if _is_below(path, (*_PROTECT_HOME, *_PRIVATE_TMP)))

    def roots(self) -> tuple[Path, ...]:
        """List the folders that the services read, none below another."""
        return _outermost({*self.folders})

    def drop_in(self) -> str:
        """Write the drop-in that shows the services what is hidden; empty when nothing is."""
        paths = self.hidden()
        if not paths:
            return ""
        lines = [
            "# ProtectHome=yes and PrivateTmp=yes hide /home, /root, /run/user, /tmp and /var/tmp, but OCG, or the",
            "# Python that it runs by, lies there. So they are empty folders with only this in them, to be read, not",
            "# written.",
            "[Service]",
        ]
        if any(_is_below(path, _PROTECT_HOME) for path in paths):
            lines.append("ProtectHome=tmpfs")
        return "\n".join([*lines, *(f"BindReadOnlyPaths={unitfile.quoted(path)}" for path in paths), ""])


def _outermost(paths: Iterable[Path]) -> tuple[Path, ...]:
    found = sorted(paths)
    return tuple(path for path in found if not any(path.is_relative_to(other) for other in found if other != path))


def trail(path: Path) -> tuple[Path, ...]:
    """Return a path and all those that links on its way make of it, down to the one without links."""
    return tuple(_follow(path, _MAX_LINKS))


def _follow(path: Path, left: int) -> Iterator[Path]:
    yield path
    link = next((one for one in (*reversed(path.parents), path) if one.is_symlink()), None)
    if link is not None and left:
        target = Path(os.path.normpath(link.parent / link.readlink()))
        yield from _follow(target / path.relative_to(link), left - 1)


def _is_below(path: Path, folders: tuple[str, ...]) -> bool:
    return any(path.is_relative_to(place) for folder in folders for place in (folder, os.path.realpath(folder)))
