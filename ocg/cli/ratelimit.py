"""`ocg ratelimit`: how often a token, a channel or a sender may have OCG work."""

import argparse

from ocg.cli import gateway, services
from ocg.cli.actions import Actions
from ocg.protocol import wire
from ocg.protocol.access import RateLimit

_KEY = "whose: token:NAME, channel:NAME or sender:CHANNEL:ID; an asterisk at the end is each without one of its own"


def register(parser: argparse.ArgumentParser) -> None:
    """Add the sub-commands."""
    services.add_manager(parser)
    actions = Actions(parser)
    listing = actions.add("list", "list the rate limits; there is none unless you set one")
    listing.add_argument("--json", action="store_true", help="print one JSON object a line")
    setting = actions.add("set", "set a rate limit, which counts at once")
    setting.add_argument("key", metavar="KEY", help=_KEY)
    setting.add_argument("rate", metavar="RATE", help="such as 60/min or 1000/day; s, min, h or day")
    lifting = actions.add("rm", "lift a rate limit")
    lifting.add_argument("key", metavar="KEY", help="a key that ocg ratelimit list shows")


def run(arguments: argparse.Namespace) -> int:
    """Do what is asked."""
    match arguments.action:
        case "list":
            _show(gateway.ask(arguments, lambda client: client.limits()).limits, as_json=arguments.json)
        case "set":
            # Checked as the gateway does.
            limit = wire.decode(RateLimit, wire.encode({"key": arguments.key, "rate": arguments.rate}))
            _show((gateway.ask(arguments, lambda client: client.set_limit(limit)),), as_json=False)
        case "rm":
            gateway.ask(arguments, lambda client: client.lift_limit(arguments.key))
    return 0


def _show(limits: tuple[RateLimit, ...], *, as_json: bool) -> None:
    width = max((len(one.key) for one in limits), default=0)
    for one in limits:
        print(wire.encode(one).decode() if as_json else f"{one.key:<{width}}  {one.rate}")
