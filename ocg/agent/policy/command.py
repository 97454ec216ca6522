"""Commands of a shell, read as far as they are plain; what is not read is never taken for harmless.

A word is made of plain characters and of quotes in which nothing is special (POSIX, 2.2). Whatever a shell would
replace or run beside is no part of that: `$`, backticks, redirections, globs, braces, comments, escapes. So what is
read here is what the shell reads, word for word; a test compares the two.
"""

import re
import shlex
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase, translate
from functools import lru_cache
from pathlib import PurePosixPath

Words = tuple[str, ...]

_MAX_CHARS = 1 << 12  # it is read in the event loop

_PIECE = r"""[A-Za-z0-9_@%+=:,./-]|'[^'\x00-\x1f\x7f]*'|"[^"$`\\!\x00-\x1f\x7f]*\""""
_TOKEN = re.compile(rf"(?P<space>[ \t]+)|(?P<operator>&&|\|\||[;|&\n])|(?P<word>(?:{_PIECE})+)")
_QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"")
# Words that begin no command of their own, and programs that run what their arguments say: that is not read.
_RUN_OTHERS = """
    case coproc do done elif else esac fi for function if in select then time until while
    . alias builtin command compgen complete eval exec fc mapfile readarray source trap
    *sh *awk bun deno ed emacs* erl ex expect gdb guile* irb java julia* lldb lua* node* npm npx nvim perl* php* pypy*
    python* R Rscript ruby* sed tcl* vi vim* view
    aa-exec at batch busybox bwrap capsh catchsegv cgexec choom chroot chrt cpulimit crontab daemonize dbus-*
    doas docker dumb-init entr env fakeroot faketime fd* find firejail flock gosu ionice ip ld-* ld.so ld64*
    linux32 linux64 ltrace machinectl newgrp nice nohup nsenter numactl parallel perf pkexec podman prlimit
    proot proxychains* rsync run-parts run0 runcon runuser screen script setarch setpriv setsid sg ssh-agent
    sshpass start-stop-daemon stdbuf strace su su-exec sudo sudoedit systemd-* tar taskset timeout tini tmux
    torsocks toybox unbuffer unshare valgrind watch xargs xvfb-run
""".split()  # noqa: SIM905 - lines of words are read more easily than a hundred quoted ones
_RUNS_OTHERS = re.compile("|".join(map(translate, _RUN_OTHERS)))
_VERSION = re.compile(r"[-.0-9]+$")  # of bash5 and ksh93


@lru_cache(maxsize=8)  # each rule asks for the same one
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
    return None if any(_may_run(words, patterns) for words in commands if words) else False


def _may_run(words: Words, patterns: Sequence[str]) -> bool:
    """Whether a command may run another that fits: it is known for that, or such a one stands among its words."""
    program = PurePosixPath(words[0]).name
    is_known = any(_RUNS_OTHERS.match(name) for name in (program, _VERSION.sub("", program)))
    return is_known or any(_fits_any(words[at:], patterns, _is_named) for at in range(1, len(words)))


def _fits_any(words: Words, patterns: Sequence[str], is_same: Callable[[str, str], bool]) -> bool:
    return any(_fits(words, _split(pattern), is_same) for pattern in patterns)


@lru_cache(maxsize=1024)
def _split(pattern: str) -> Words:
    return tuple(shlex.split(pattern))


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
