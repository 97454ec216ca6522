"""`ocg schedule`: what the agent is asked at certain times."""

import argparse
import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import msgspec

from ocg.cli import agent, services, terminal
from ocg.cli.actions import Actions
from ocg.errors import Code, OcgError
from ocg.protocol import wire
from ocg.protocol.schedules import (
    Schedule,
    ScheduleClient,
    ScheduleName,
    SchedulePatch,
    ScheduleRequest,
    ScheduleRun,
)

T = TypeVar("T")

_WHEN = "cron's five fields in quotes, @daily and its like, 'every 15m', 'in 20m', or 'at 2026-12-01 09:00'"
_STATES = {"running": terminal.YELLOW, "completed": terminal.GREEN, "failed": terminal.RED}
_SHOWN_CHARS = 60


def register(parser: argparse.ArgumentParser) -> None:
    """Add the sub-commands."""
    services.add_manager(parser)
    actions = Actions(parser)
    listing = actions.add("list", "list schedules, the one that is due next first")
    listing.add_argument("--json", action="store_true", help="print one JSON object a line")
    add = actions.add("add", "have the agent asked something at certain times")
    add.add_argument("name", metavar="SCHEDULE", help="its name: up to 64 letters, digits, - and _")
    add.add_argument("when", metavar="WHEN", help=_WHEN)
    add.add_argument("message", metavar="MESSAGE", nargs="+", help="what the agent is asked")
    add.add_argument("--zone", metavar="ZONE", default="", help="an IANA time zone (default: this machine's)")
    add.add_argument("--new-session", action="store_true", help="begin a new conversation with each run")
    add.add_argument("--to", metavar="CHANNEL:ADDRESS", help="where answers are delivered")
    _add_name(actions.add("rm", "remove one with its history; a run that began goes on"))
    _add_name(actions.add("run", "begin a run now"))
    runs = actions.add("runs", "list the last runs of one, newest first")
    _add_name(runs)
    runs.add_argument("--json", action="store_true", help="print one JSON object a line")
    _add_name(actions.add("pause", "have one rest: what it misses is left out"))
    _add_name(actions.add("resume", "have one go on"))


def _add_name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="SCHEDULE", help="a name that ocg schedule list shows")


def run(arguments: argparse.Namespace) -> int:
    """Do what is asked."""
    match arguments.action:
        case "list":
            _list(_ask(arguments, lambda client: client.list()).schedules, as_json=arguments.json)
        case "add":
            request = _request(arguments)
            _list((_ask(arguments, lambda client: client.add(request)),), as_json=False)
        case "rm":
            name = _name(arguments)
            _ask(arguments, lambda client: client.remove(name))
        case "run":
            name = _name(arguments)
            _list_runs((_ask(arguments, lambda client: client.run(name)),), as_json=False)
        case "runs":
            name = _name(arguments)
            _list_runs(_ask(arguments, lambda client: client.runs(name)).runs, as_json=arguments.json)
        case "pause" | "resume":
            name, patch = _name(arguments), SchedulePatch(is_paused=arguments.action == "pause")
            _list((_ask(arguments, lambda client: client.change(name, patch)),), as_json=False)
    return 0


def _ask(arguments: argparse.Namespace, ask: Callable[[ScheduleClient], Awaitable[T]]) -> T:
    async def whole() -> T:
        async with agent.client_of(arguments) as client:
            return await ask(ScheduleClient(client))

    return asyncio.run(whole())


def _name(arguments: argparse.Namespace) -> str:
    """Check a name before it becomes part of a path. Raises NOT_FOUND: nothing has such a name."""
    try:
        return msgspec.convert(arguments.name, ScheduleName)
    except msgspec.ValidationError:
        raise OcgError(Code.NOT_FOUND, f"no schedule {arguments.name!r}", "ocg schedule list shows them") from None


def _request(arguments: argparse.Namespace) -> ScheduleRequest:
    """Check what was typed as the agent does. Raises INVALID_REQUEST."""
    given: dict[str, object] = {
        "name": arguments.name,
        "when": arguments.when,
        "message": " ".join(arguments.message),
        "zone": arguments.zone,
        "session": "new" if arguments.new_session else "own",
    }
    if arguments.to:
        channel, _, address = arguments.to.partition(":")
        given["reply_to"] = {"channel": channel, "address": address}
    return wire.decode(ScheduleRequest, wire.encode(given))


def _list(schedules: Sequence[Schedule], *, as_json: bool) -> None:
    if as_json:
        for one in schedules:
            print(wire.encode(one).decode())
        return
    name, when = (max((len(getattr(one, key)) for one in schedules), default=0) for key in ("name", "when"))
    for one in schedules:
        last = f"  {_state(one.last_run)}" if one.last_run else ""
        text = terminal.paint(_short(one.message), terminal.DIM)
        terminal.line(f"{one.name:<{name}}  {one.when:<{when}}  {_next(one):<16}{last}  {text}")


def _next(one: Schedule) -> str:
    if one.next_at is None:
        return "over"
    return "paused" if one.is_paused else _moment(one.next_at)


def _list_runs(runs: Sequence[ScheduleRun], *, as_json: bool) -> None:
    if as_json:
        for one in runs:
            print(wire.encode(one).decode())
        return
    for one in runs:
        how = ["asked for"] if one.is_asked else []
        how += [f"for {one.missed} more that were missed"] if one.missed else []
        how += [_short(f"{one.error.message} [{one.error.code}]")] if one.error else []
        said = terminal.paint(", ".join([*how, f"conversation {one.session_id}"]), terminal.DIM)
        terminal.line(f"{_moment(one.began_at)}  {_state(one)}  {said}")


def _state(run: ScheduleRun) -> str:
    return terminal.paint(f"{run.state:<9}", _STATES[run.state])


def _moment(unix_s: float) -> str:
    return dt.datetime.fromtimestamp(unix_s, dt.UTC).astimezone().strftime("%Y-%m-%d %H:%M")


def _short(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= _SHOWN_CHARS else f"{words[: _SHOWN_CHARS - 1]}…"
