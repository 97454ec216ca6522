"""`ocg approval`: the calls of tools that wait to be allowed, and what was decided."""

import argparse
import datetime as dt
import time
from collections.abc import Sequence

from ocg.cli import agent, services, terminal
from ocg.cli.actions import Actions
from ocg.errors import Code, OcgError
from ocg.protocol import wire
from ocg.protocol.approvals import MAX_DECISIONS, Answer, Approval, ApprovalAnswer, Decided
from ocg.protocol.clients import AgentClient

BY = "cli"
_JSON = "print one JSON object a line"


def register(parser: argparse.ArgumentParser) -> None:
    """Add the sub-commands."""
    services.add_manager(parser)
    actions = Actions(parser)
    actions.add("list", "list the calls that wait to be allowed").add_argument(
        "--json", action="store_true", help=_JSON
    )
    for name, summary in (("allow", "have calls run"), ("deny", "have calls not run")):
        answering = actions.add(name, summary)
        answering.add_argument("id", metavar="ID", nargs="+", help="an id that ocg approval list shows")
        answering.add_argument(
            "--session",
            action="store_true",
            help="for the rest of the conversation: this tool, and where it has a command, this command",
        )
    log = actions.add("log", "list what was decided on calls of tools, newest first")
    log.add_argument("--limit", metavar="N", type=int, default=20, help="at the most (default: 20)")
    log.add_argument("--json", action="store_true", help=_JSON)


def run(arguments: argparse.Namespace) -> int:
    """Do what is asked."""
    match arguments.action:
        case "list":
            _show(agent.ask(arguments, lambda client: client.approvals()).approvals, as_json=arguments.json)
        case "log":
            limit = _limit(arguments.limit)
            _tell(agent.ask(arguments, lambda client: client.decisions(limit=limit)).decisions, as_json=arguments.json)
        case "allow" | "deny" as answer:
            _answer(arguments, answer)
    return 0


def _answer(arguments: argparse.Namespace, answer: Answer) -> None:
    given = ApprovalAnswer(answer=answer, remember="session" if arguments.session else "", by=BY)

    async def give(client: AgentClient) -> None:
        for approval_id in arguments.id:
            found = await client.approve(approval_id, given)
            terminal.line(f"{found.name}: {found.answer}")

    agent.ask(arguments, give)


def _limit(number: int) -> int:
    if not 1 <= number <= MAX_DECISIONS:
        why = f"--limit {number} does not fit"
        raise OcgError(Code.INVALID_REQUEST, why, f"give a number from 1 to {MAX_DECISIONS}")
    return number


def _show(approvals: Sequence[Approval], *, as_json: bool) -> None:
    for one in approvals:
        left_s = max(one.expires_at - time.time(), 0)
        about = terminal.paint(f"{one.why}; {left_s:.0f} s are left", terminal.DIM)
        said = f"{one.id}  {terminal.plain(f'{one.name} {one.arguments}')}  {about}"
        terminal.line(wire.encode(one).decode() if as_json else said)


def _tell(decisions: Sequence[Decided], *, as_json: bool) -> None:
    for one in decisions:
        when = dt.datetime.fromtimestamp(one.at, dt.UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
        decision = terminal.paint(f"{one.decision:<5}", terminal.GREEN if one.decision == "allow" else terminal.RED)
        call, by = terminal.plain(f"{one.tool} {one.arguments}"), terminal.paint(one.by, terminal.DIM)
        terminal.line(wire.encode(one).decode() if as_json else f"{when}  {decision}  {call}  {by}")
