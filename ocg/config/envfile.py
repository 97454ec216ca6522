"""env.config: the grammar of systemd's EnvironmentFile= (systemd.exec(5), src/basic/env-file.c), read."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from ocg.errors import Code, OcgError

_MAX_BYTES = 1 << 20
_BLANK = re.compile(r"(?:[ \t\r\n]+|[#;](?:[^\\\n]|\\(?:.|\Z))*)*", re.DOTALL)
_KEY = re.compile(r"([^=\n]*)(=?)")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_SPACE = re.compile(r"[ \t\r]*")
_SINGLE = re.compile(r"'([^']*)'")
_DOUBLE = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_BARE = re.compile(r"(?:[^\\\n]|\\(?:.|\Z))*", re.DOTALL)
# Within double quotes a backslash escapes only these; a newline after it is eaten.
_DOUBLE_ESCAPE = re.compile(r'\\(["\\`$\n])', re.DOTALL)
_BARE_ESCAPE = re.compile(r"\\(.|\Z)", re.DOTALL)


def read(file: Path, *, required: bool = False) -> dict[str, str]:
    """Read an env.config into a map of key to text; a missing one is empty unless `required`.

    Raises CONFIG_INVALID with the file, the line and what was expected.
    """
    try:
        with file.open("rb") as stream:
            data = stream.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise OcgError(Code.CONFIG_INVALID, f"{file}: larger than 1 MiB", "name an env.config with --config")
        return parse(data.decode("utf-8"), name=str(file))
    except FileNotFoundError:
        if not required:
            return {}
        raise OcgError(Code.CONFIG_INVALID, f"{file}: no such file", "name an existing file with --config") from None
    except UnicodeDecodeError:
        raise OcgError(Code.CONFIG_INVALID, f"{file}: not UTF-8 text", "save the file as UTF-8") from None
    except OSError as error:
        raise OcgError(Code.CONFIG_INVALID, f"{file}: {error.strerror}", "make the file readable for you") from None


def parse(text: str, *, name: str) -> dict[str, str]:
    """Parse the text of an env.config; a later line wins over an earlier one.

    Where systemd warns and goes on (no `=`, a bad key, an open quote) this raises CONFIG_INVALID with
    `name` and the line, since a setting that silently does nothing helps nobody.
    """
    return {key: value for key, value, _, _ in _scan(text, name)}


def places(text: str, *, name: str) -> list[tuple[str, int, int]]:
    """Return each key with where its assignment begins and ends in the text, without the newline behind it."""
    return [(key, start, end) for key, _, start, end in _scan(text, name)]


def _scan(text: str, name: str) -> Iterator[tuple[str, str, int, int]]:
    at = _match(_BLANK, text, 0).end()
    while at < len(text):
        line = text.count("\n", 0, at) + 1
        start, found = at, _match(_KEY, text, at)
        key = found[1].strip()
        if not found[2] or not _NAME.match(key):
            raise _unparsable(name, line, key)
        at, value = _value(text, found.end(), name, line)
        yield key, value, start, at
        at = _match(_BLANK, text, at).end()


def _unparsable(name: str, line: int, key: str) -> OcgError:
    # The text itself may be half of a secret, so only what cannot be one is shown.
    hint = "leave out `export`" if key.startswith("export ") else "put # before it if it is a comment"
    return OcgError(Code.CONFIG_INVALID, f"{name}:{line}: expected KEY=VALUE", hint)


def _value(text: str, at: int, name: str, line: int) -> tuple[int, str]:
    """Read a value from `at`: quoted pieces, then a bare rest up to the line's end."""
    pieces = []
    while True:
        at = _match(_SPACE, text, at).end()
        quote = text[at : at + 1]
        if quote not in {"'", '"'} or not quote:
            break
        found = (_SINGLE if quote == "'" else _DOUBLE).match(text, at)
        if found is None:
            raise OcgError(
                Code.CONFIG_INVALID, f"{name}:{line}: expected a closing {quote}", f"add the {quote} that is missing"
            )
        pieces.append(found[1] if quote == "'" else _DOUBLE_ESCAPE.sub(_unescape, found[1]))
        at = found.end()
    bare = _match(_BARE, text, at)
    kept = bare[0].rstrip(" \t\r")
    if kept.endswith("\\") and len(kept) < len(bare[0]):
        kept = bare[0][: len(kept) + 1]  # an escaped blank at the end belongs to the value
    pieces.append(_BARE_ESCAPE.sub(_unescape, kept))
    return bare.end(), "".join(pieces)


def _unescape(found: re.Match[str]) -> str:
    return "" if found[1] == "\n" else found[1]


def _match(pattern: re.Pattern[str], text: str, at: int) -> re.Match[str]:
    """Match a pattern that also matches nothing, so always does."""
    return cast("re.Match[str]", pattern.match(text, at))
