"""Unit files for programs that lie elsewhere than in /usr/bin, whatever their path looks like (systemd.syntax(7))."""

import re
from pathlib import Path

from ocg.errors import Code, OcgError

_COMMANDS = re.compile(r"^Exec\w+=(?:.*\\\n)*.*$", re.MULTILINE)
_PROGRAM = re.compile(r"(?<=[=\s@:+!|-])/usr/bin/(ocg[\w-]*)(?=\s|$)")
_PLAIN = re.compile(r"[A-Za-z0-9/._+@,=~-]+\Z")
_UNSAFE = frozenset("\"'\\")
_INSTALL = re.compile(r"^(WantedBy|RequiredBy)=(.*)$", re.MULTILINE)


def quoted(path: Path) -> str:
    """Write a path so that systemd reads the very same: `%` is a specifier, quotes hold white space and `:`.

    Raises UNSAFE_PATH for what systemd executes nothing of, however it is written: quotes, backslashes and control
    characters (src/core/load-fragment.c, string_is_safe()).
    """
    text = str(path)
    if not text.isprintable() or not _UNSAFE.isdisjoint(text):
        raise OcgError(
            Code.UNSAFE_PATH,
            f"systemd runs no program with quotes, backslashes or control characters in its path: {text!r}",
            "move OCG to a folder with a plainer name",
        )
    doubled = text.replace("%", "%%")
    return doubled if _PLAIN.match(text) else f'"{doubled}"'


def rendered(text: str, scripts: Path) -> str:
    """Return a unit's text with the programs of /usr/bin replaced by those in `scripts`."""

    def ours(command: re.Match[str]) -> str:
        return _PROGRAM.sub(lambda found: quoted(scripts / found[1]), command[0])

    return _COMMANDS.sub(ours, text)


def links(text: str, unit: str, folder: Path) -> tuple[Path, ...]:
    """Name the links that enabling a unit makes in `folder`."""
    kinds = {"WantedBy": "wants", "RequiredBy": "requires"}
    return tuple(
        folder / f"{other}.{kinds[kind]}" / unit for kind, others in _INSTALL.findall(text) for other in others.split()
    )
