"""Commands of a shell, read as far as they are plain; what is not read is never taken for harmless.

A word is made of plain characters and of quotes in which nothing is special (POSIX, 2.2). Whatever a shell would
replace or run beside is no part of that: `$`, backticks, redirections, globs, braces, comments, escapes. So what is
read here is what the shell reads, word for word; a test compares the two.
"""

import re
import shlex
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

Words = tuple[str, ...]

_MAX_CHARS = 1 << 14  # it is read in the event loop, once a rule

_PIECE = r"""[A-Za-z0-9_@%+=:,./-]|'[^'\x00-\x1f\x7f]*'|"[^"$`\\!\x00-\x1f\x7f]*\""""
_TOKEN = re.compile(rf"(?P<space>[ \t]+)|(?P<operator>&&|\|\||[;|&\n])|(?P<word>(?:{_PIECE})+)")
_QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"")
# Words that begin no command of their own, and programs that run what their arguments say: that is not read.
_RUN_OTHERS = frozenset(
    """
    case coproc do done elif else esac fi for function if in select then time until while
    . alias builtin command eval exec source trap
    bash busybox chroot dash doas env find fish ionice ksh nice nohup parallel perl python python3 ruby setsid sh ssh
    stdbuf su sudo timeout watch xargs zsh
    """.split()  # noqa: SIM905 - four lines of words are read more easily than fifty quoted ones
)


def read(text: str) -> tuple[Words, ...] | None:
    """Return the commands of a line as their words, and an empty one behind an operator at its end.

    None where the line is not plain.
    """
    if len(text) > _MAX_CHARS:
        return None
    commands: list[list[str]] = [[]]
    at = 0
    for token in _TOKEN.finditer(text):
        if token.start() != at:
            return None
        at = token.end()
        if token["operator"]:
            commands.append([])
        elif token["word"]:
            commands[-1].append(_QUOTED.sub(lambda quoted: quoted[1] or quoted[2] or "", token["word"]))
    # A first word with `=` sets a variable for the command, such as LD_PRELOAD.
    if at != len(text) or not any(commands) or any("=" in words[0] for words in commands if words):
        return None
    return tuple(tuple(words) for words in commands)


def is_allowed(text: str, patterns: Sequence[str]) -> bool:
    """Whether a line is one plain command that fits a pattern as it stands."""
    commands = read(text)
    return commands is not None and len(commands) == 1 and _fits_any(commands[0], patterns, _is_word)


def is_meant(text: str, patterns: Sequence[str]) -> bool | None:
    """Whether any command of a line fits a pattern, wherever its program lies; None where that cannot be known."""
    commands = read(text)
    if commands is None:
        return None
    if any(_fits_any(words, patterns, _is_named) for words in commands if words):
        return True
    programs = {PurePosixPath(words[0]).name for words in commands if words}
    return None if programs & _RUN_OTHERS else False


def _fits_any(words: Words, patterns: Sequence[str], is_same: Callable[[str, str], bool]) -> bool:
    return any(_fits(words, shlex.split(pattern), is_same) for pattern in patterns)


def _fits(words: Words, pattern: Sequence[str], is_same: Callable[[str, str], bool]) -> bool:
    """Compare word by word; an asterisk at the end stands for any others, or none."""
    if pattern[-1] == "*":
        pattern = pattern[:-1]
        words = words[: len(pattern)]
    return len(words) == len(pattern) and all(map(is_same, words, pattern))


def _is_word(word: str, pattern: str) -> bool:
    """An asterisk in a word leads no path upwards: `src/*` is not src/../../etc."""
    climbs = ".." in word.split("/") and word != pattern
    return not climbs and fnmatchcase(word, pattern)


def _is_named(word: str, pattern: str) -> bool:
    return fnmatchcase(word, pattern) or ("/" not in pattern and fnmatchcase(word.rpartition("/")[2], pattern))
