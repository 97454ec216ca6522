"""Rules: the first that fits a call decides."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Annotated

import msgspec

from ocg.agent.policy import command
from ocg.agent.policy.glob import Glob
from ocg.protocol.approvals import Decision

_Pattern = Annotated[str, msgspec.Meta(min_length=1, max_length=512)]
_Patterns = Annotated[tuple[_Pattern, ...], msgspec.Meta(min_length=1, max_length=256)]


@dataclass(frozen=True, slots=True)
class Call:
    """What is known of a call.

    `default` is what its tool's author thought right. `paths` are where those among its arguments lead in the end,
    relative to the workspace where they are in there; an empty one leads nobody knows where. Where a call `is_deep`,
    it is about all that lies below as well. With `has_network` it asks for that, by an argument `network`.
    """

    tool: str
    default: Decision
    session: str
    channel: str = ""
    is_stranger: bool = False
    command: str | None = None
    paths: tuple[str, ...] = ()
    is_deep: bool = False
    has_network: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was decided, by what, and why."""

    decision: Decision
    by: str
    why: str


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A rule; what it leaves out fits everything, but a stranger's calls only fit where it says so."""

    decision: Decision
    tool: _Patterns = ("*",)
    session: _Patterns = ("*",)
    channel: _Patterns | None = None
    stranger: bool = False
    command: _Patterns | None = None
    path: _Patterns | None = None
    network: bool | None = None

    def __post_init__(self) -> None:
        """Raise ValueError for a pattern of a command that is none."""
        for pattern in self.command or ():
            if not shlex.split(pattern):
                raise ValueError(f"{pattern!r} is no command")

    def fits(self, call: Call) -> bool | None:
        """Whether it is about a call; None where its command or path cannot be read well enough to know."""
        if not self._is_about(call):
            return False
        parts = (self._fits_paths(call), self._fits_command(call.command))
        return False if False in parts else None if None in parts else True

    def _fits_paths(self, call: Call) -> bool | None:
        """To be allowed, all of them have to fit; to be denied or asked about, any."""
        if self.path is None:
            return True
        found = [bool(path) and _leads_to(path, self.path) for path in call.paths]
        if self.decision == "allow":
            return bool(found) and all(found)
        if any(found):
            return True
        is_unknown = "" in call.paths or (call.is_deep and any(_leads_above(path, self.path) for path in call.paths))
        return None if is_unknown else False

    def _fits_command(self, line: str | None) -> bool | None:
        if self.command is None:
            return True
        if line is None:
            return False
        judge = command.is_allowed if self.decision == "allow" else command.is_meant
        return judge(line, self.command)

    def _is_about(self, call: Call) -> bool:
        is_channels = self.channel is None or (bool(call.channel) and _any(call.channel, self.channel))
        is_its_tool = _any(call.tool, self.tool) and _any(call.session, self.session)
        return is_its_tool and is_channels and call.is_stranger == self.stranger and self._fits_network(call)

    def _fits_network(self, call: Call) -> bool:
        """Compare; a rule that allows gives the network only where it says so, and then what is less as well."""
        if self.decision == "allow":
            return bool(self.network) or not call.has_network
        return self.network in {None, call.has_network}


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The rules, in their order."""

    rule: Annotated[tuple[Rule, ...], msgspec.Meta(max_length=1000)] = ()

    def judge(self, call: Call) -> Verdict:
        """Decide on a call. What a rule may mean without our being able to tell is asked about."""
        for number, rule in enumerate(self.rule, start=1):
            fits = rule.fits(call)
            if fits:
                return Verdict(rule.decision, f"rule {number}", f"rule {number} of policy.toml says {rule.decision}")
            if fits is None:
                why = f"rule {number} of policy.toml may be about this call, which is not a plain one"
                return Verdict("ask", f"rule {number}", why)
        if call.is_stranger:
            return Verdict("deny", "stranger", "no tool is run for a stranger")
        return Verdict(call.default, "default", f"{call.tool} says {call.default} where no rule does")


def _any(text: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(text, pattern) for pattern in patterns)


def _leads_to(path: str, patterns: Sequence[str]) -> bool:
    """Compare; only a pattern that begins with `/` is about what lies outside the workspace."""
    return any(_glob(pattern).fits(path) for pattern in _there(path, patterns))


def _leads_above(path: str, patterns: Sequence[str]) -> bool:
    """Whether something below a folder may fit."""
    beginning = "" if path == "." else f"{path}/"
    return any(_glob(pattern).may_go_on(beginning) for pattern in _there(path, patterns))


def _there(path: str, patterns: Sequence[str]) -> list[str]:
    return [one for one in patterns if one.startswith("/") == path.startswith("/")]


@lru_cache(maxsize=1024)
def _glob(pattern: str) -> Glob:
    return Glob(pattern)
