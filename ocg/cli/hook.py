"""`ocg hook`: the programs that the agent calls when something happens."""

import argparse
from collections.abc import Sequence

from ocg.cli import agent, services, terminal
from ocg.cli.actions import Actions
from ocg.protocol import wire
from ocg.protocol.hooks import Hook

_STATES = {"on": terminal.GREEN, "off": terminal.DIM, "refused": terminal.RED}


def register(parser: argparse.ArgumentParser) -> None:
    """Add the sub-commands."""
    services.add_manager(parser)
    listing = Actions(parser).add("list", "list them by their events, and say why one is not called")
    listing.add_argument("--json", action="store_true", help="print one JSON object a line")


def run(arguments: argparse.Namespace) -> int:
    """Do what is asked."""
    _list(agent.ask(arguments, lambda client: client.hooks()).hooks, as_json=arguments.json)
    return 0


def _list(hooks: Sequence[Hook], *, as_json: bool) -> None:
    event, name = (max((len(getattr(one, key)) for one in hooks), default=0) for key in ("event", "name"))
    for one in hooks:
        state = terminal.paint(f"{one.state:<7}", _STATES[one.state])
        said = f"{terminal.plain(one.event):<{event}}  {terminal.plain(one.name):<{name}}  {state}  {one.why}"
        terminal.line(wire.encode(one).decode() if as_json else said.rstrip())
