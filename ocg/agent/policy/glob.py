"""Patterns of paths, compared in one pass: however a path is made, each of its characters is looked at once."""

import re
from collections import defaultdict
from collections.abc import Iterable

_TOKEN = re.compile(r"\*+|[^*]", re.DOTALL)


class Glob:
    """A pattern: `*` and `?` stay within a folder, `**` does not.

    It is an automaton with a state between any two tokens. A set of states is a number, with a bit for each.
    """

    def __init__(self, pattern: str) -> None:
        tokens = _TOKEN.findall(pattern)
        self._end = 1 << len(tokens)
        self._deep = _bits(len(one) > 1 for one in tokens)
        self._stars = _bits(one[0] == "*" for one in tokens)
        self._any = _bits(one == "?" for one in tokens)
        self._named: defaultdict[str, int] = defaultdict(int)
        for at, token in enumerate(tokens):
            self._named[token] |= 1 << at

    def fits(self, path: str) -> bool:
        """Whether it fits the whole path."""
        return bool(self._after(path) & self._end)

    def may_go_on(self, beginning: str) -> bool:
        """Whether it fits a path that begins so."""
        return bool(self._after(beginning))

    def _after(self, path: str) -> int:
        """Return the states that a path leads to."""
        states = self._past_stars(1)
        for char in path:
            stays, passes = self._deep, self._named.get(char, 0)
            if char != "/":
                stays, passes = self._stars, passes | self._any
            states = self._past_stars(states & stays | (states & passes) << 1)
            if not states:
                break
        return states

    def _past_stars(self, states: int) -> int:
        """A star may stand for nothing; no two are neighbours."""
        return states | (states & self._stars) << 1


def _bits(are: Iterable[bool]) -> int:
    return sum(1 << at for at, one in enumerate(are) if one)
