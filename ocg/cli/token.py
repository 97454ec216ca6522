"""`ocg token`: tokens for programs and people, each good for as much as it has to be."""

import argparse
import datetime as dt
import sys
import time

from ocg.cli import gateway, services, terminal
from ocg.cli.actions import Actions
from ocg.protocol import wire
from ocg.protocol.access import TokenItem, TokenRequest


def register(parser: argparse.ArgumentParser) -> None:
    """Add the sub-commands."""
    services.add_manager(parser)
    actions = Actions(parser)
    create = actions.add("create", "make a token and print it, this once: OCG keeps only its hash")
    create.add_argument("name", metavar="TOKEN", help="its name: up to 32 letters, digits, - and _")
    create.add_argument(
        "--scope",
        metavar="SCOPES",
        default="chat",
        help="what it is good for: chat, read and admin, with commas between them (default: chat)",
    )
    create.add_argument("--expires", metavar="DAYS", type=float, help="for how long (default: until it is revoked)")
    listing = actions.add("list", "list the tokens: what each is good for, until when, and when it was used")
    listing.add_argument("--json", action="store_true", help="print one JSON object a line")
    revoke = actions.add("revoke", "have a token count no more, at once; what is open with it ends")
    revoke.add_argument("name", metavar="TOKEN", help="a name that ocg token list shows")


def run(arguments: argparse.Namespace) -> int:
    """Do what is asked."""
    match arguments.action:
        case "create":
            request = _request(arguments)
            made = gateway.ask(arguments, lambda client: client.create_token(request))
            print(made.token)
            print(terminal.paint("It is shown this once.", terminal.DIM, sys.stderr), file=sys.stderr)
        case "list":
            _show(gateway.ask(arguments, lambda client: client.tokens()).tokens, as_json=arguments.json)
        case "revoke":
            gateway.ask(arguments, lambda client: client.revoke_token(arguments.name))
    return 0


def _request(arguments: argparse.Namespace) -> TokenRequest:
    """Check what was typed as the gateway does. Raises INVALID_REQUEST."""
    scopes = [one for one in arguments.scope.replace(",", " ").split() if one]
    given = {"name": arguments.name, "scopes": scopes, "expires_days": arguments.expires}
    return wire.decode(TokenRequest, wire.encode(given))


def _show(items: tuple[TokenItem, ...], *, as_json: bool) -> None:
    if as_json:
        for one in items:
            print(wire.encode(one).decode())
        return
    width = max((len(one.name) for one in items), default=0)
    now = time.time()
    for one in items:
        used = f"used {_moment(one.used_at)}" if one.used_at else "never used"
        is_over = one.expires_at is not None and one.expires_at <= now
        end = "" if one.expires_at is None else f", {'expired' if is_over else 'expires'} {_moment(one.expires_at)}"
        about = f"made {_moment(one.created_at)}, {used}{end}"
        said = terminal.paint(about, terminal.RED if is_over else terminal.DIM)
        terminal.line(f"{one.name:<{width}}  {','.join(one.scopes):<15}  {said}")


def _moment(unix_s: float) -> str:
    return dt.datetime.fromtimestamp(unix_s, dt.UTC).astimezone().strftime("%Y-%m-%d %H:%M")
