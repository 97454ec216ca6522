"""`ocg skill`: what the agent can learn to do when it needs it."""

import argparse
import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec

from ocg.cli import agent, services, terminal
from ocg.cli.actions import Actions
from ocg.errors import Code, OcgError
from ocg.protocol import wire
from ocg.protocol.skills import SkillClient, SkillList, SkillName, SkillText

T = TypeVar("T")


def register(parser: argparse.ArgumentParser) -> None:
    """Add the sub-commands."""
    services.add_manager(parser)
    actions = Actions(parser)
    listing = actions.add("list", "list skills, and say what is wrong with others")
    listing.add_argument("--json", action="store_true", help="print one JSON object a line")
    show = actions.add("show", "print a skill's instructions, and name its files")
    show.add_argument("name", metavar="SKILL", help="a name that ocg skill list shows")


def run(arguments: argparse.Namespace) -> int:
    """Do what is asked."""
    match arguments.action:
        case "list":
            _list(_ask(arguments, lambda client: client.list()), as_json=arguments.json)
        case "show":
            name = _name(arguments)
            _show(_ask(arguments, lambda client: client.show(name)))
    return 0


def _ask(arguments: argparse.Namespace, question: Callable[[SkillClient], Awaitable[T]]) -> T:
    return agent.ask(arguments, lambda client: question(SkillClient(client)))


def _name(arguments: argparse.Namespace) -> str:
    """Check a name before it becomes part of a path. Raises NOT_FOUND: nothing has such a name."""
    try:
        return msgspec.convert(arguments.name, SkillName)
    except msgspec.ValidationError:
        raise OcgError(Code.NOT_FOUND, f"no skill {arguments.name!r}", "ocg skill list shows them") from None


def _list(found: SkillList, *, as_json: bool) -> None:
    for problem in found.problems:
        print(terminal.plain(f"{problem.folder}: {problem.why}"), file=sys.stderr)
    width = max((len(one.name) for one in found.skills), default=0)
    for one in found.skills:
        said = f"{one.name:<{width}}  {one.origin:<9}  {one.description}"
        terminal.line(wire.encode(one).decode() if as_json else terminal.plain(said))


def _show(found: SkillText) -> None:
    terminal.line(terminal.paint(terminal.plain(found.skill.folder), terminal.DIM))
    for line in found.text.splitlines():
        terminal.line(terminal.plain(line))
    for file in found.files:
        terminal.line(terminal.paint(terminal.plain(file), terminal.DIM))
