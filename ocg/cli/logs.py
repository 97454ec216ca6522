"""`ocg logs`: the journal where systemd runs the services, their log files where nobody does."""

import argparse
import os
import re
import select
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

from ocg.cli import services
from ocg.cli.since import moment
from ocg.errors import Code, OcgError
from ocg.managers.base import SERVICES
from ocg.managers.logfiles import Log, Record
from ocg.managers.places import DIRECT, USER

_LINES = 100

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def register(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    services.add_manager(parser)
    parser.add_argument(
        "service", metavar="SERVICE", nargs="?", help="embedding, agent or gateway (default: all three)"
    )
    parser.add_argument("-f", "--follow", action="store_true", help="go on with what is logged from now on")
    parser.add_argument(
        "-n",
        "--lines",
        type=_count,
        metavar="N",
        help=f"the last N, with --since the first (default: {_LINES}, or all)",
    )
    parser.add_argument("--since", metavar="TIME", help="10m, 2h, today, 14:30, 2026-01-31 14:30 …")
    parser.add_argument("--turn", metavar="ID", help="only what belongs to this turn")
    parser.add_argument("--session", metavar="ID", help="only what belongs to this session")


def run(arguments: argparse.Namespace) -> int:
    """Show the log."""
    name = services.manager_name(arguments)
    wanted = _named(arguments.service)
    now = datetime.now()  # noqa: DTZ005 - local time is meant, as in the log
    since = moment(arguments.since, now) if arguments.since else None
    if name == DIRECT:
        _show(services.settings_of(arguments, name).log_dir, wanted, arguments, since)
    else:
        _become(journalctl(wanted, arguments, since, user=name == USER))
    return 0


def journalctl(
    wanted: Iterable[str], arguments: argparse.Namespace, since: datetime | None, *, user: bool
) -> list[str]:
    """Return the command that shows it."""
    unit = "--user-unit" if user else "--unit"
    # A user's own journal is all that is wanted then: not a word on the system's, which they may not see.
    command = ["journalctl", *(["--quiet"] if user else []), *(f"{unit}={service}.service" for service in wanted)]
    limit = _limit(arguments)
    if limit is not None:
        command.append(f"--lines={limit}")
    if arguments.follow:
        command.append("--follow")
    if since:
        command.append(f"--since=@{int(since.timestamp())}")
    fields = {"OCG_TURN": arguments.turn, "OCG_SESSION": arguments.session}
    return [*command, *(f"{field}={value}" for field, value in fields.items() if value)]


def _become(command: list[str]) -> None:
    """Let a program take our place: pager, colours and Ctrl-C are its own."""
    sys.stdout.flush()
    try:
        os.execvp(command[0], command)  # noqa: S606 - as the line above says
    except FileNotFoundError:
        raise OcgError(
            Code.UNAVAILABLE, f"{command[0]} is not installed", "it comes with systemd: see your distribution"
        ) from None


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a number, found {text!r}")
    return int(text)


def _limit(arguments: argparse.Namespace) -> int | None:
    """How many records to show: all of them where a moment says from when on."""
    lines: int | None = arguments.lines
    return lines if lines is not None or arguments.since else _LINES


def _named(service: str | None) -> tuple[str, ...]:
    if not service:
        return SERVICES
    name = service if service.startswith("ocg-") else f"ocg-{service}"
    if name not in SERVICES:
        raise OcgError(
            Code.INVALID_REQUEST, f"there is no service {service!r}", "it is one of embedding, agent and gateway"
        )
    return (name,)


def _show(folder: Path, wanted: tuple[str, ...], arguments: argparse.Namespace, since: datetime | None) -> None:
    """Print records of the log files in the order of their times, then follow the files if that is asked for."""
    ids = [one for one in (arguments.turn, arguments.session) if one]
    logs = [Log(file) for service in wanted if os.access(file := folder / f"{service}.log", os.R_OK)]
    if not logs:
        raise OcgError(Code.NOT_FOUND, f"there is no log of yours in {folder}", "start the services: ocg start")
    found = sorted(_chosen((one for log in logs for one in log.records()), ids, since), key=lambda one: one.time)
    for record in _limited(found, _limit(arguments), from_first=since is not None):
        print(_plain(record.text))
    if arguments.follow:
        sys.stdout.flush()
        _follow(logs, ids)


def _limited(found: list[Record], limit: int | None, *, from_first: bool) -> list[Record]:
    """Take so many, the last ones; from a moment on, as journalctl, the first ones."""
    if limit is None or limit >= len(found):
        return found
    return found[:limit] if from_first else found[len(found) - limit :]


def _chosen(found: Iterable[Record], ids: list[str], since: datetime | None) -> Iterator[Record]:
    earliest = f"{since:%Y-%m-%d %H:%M:%S}" if since else ""
    return (one for one in found if one.time >= earliest and all(wanted in one.text for wanted in ids))


def _follow(logs: list[Log], ids: list[str]) -> None:
    """Print what tail(1) finds from where we stopped, by name, so that a new log takes the old one's place."""
    with ExitStack() as owned:
        poll, tails = select.poll(), dict[int, subprocess.Popen[bytes]]()
        for log in logs:
            # Without -q it would tell of rotation in the midst of the lines.
            command = ["tail", "-q", f"-c+{log.read_bytes + 1}", "-F", "--", str(log.path)]
            tail = owned.enter_context(
                subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0)
            )
            owned.callback(tail.terminate)
            assert tail.stdout  # noqa: S101 - a pipe was asked for
            tails[tail.stdout.fileno()] = tail
            poll.register(tail.stdout, select.POLLIN)
        parts = dict.fromkeys(tails, b"")
        while tails:
            for descriptor, _ in poll.poll():
                data = os.read(descriptor, 65536)
                if not data:
                    poll.unregister(descriptor)
                    del tails[descriptor]
                *lines, parts[descriptor] = (parts[descriptor] + data).split(b"\n")
                _print(lines, ids)


def _print(lines: Iterable[bytes], ids: list[str]) -> None:
    for line in lines:
        text = line.decode("utf-8", "replace")
        if all(wanted in text for wanted in ids):
            print(_plain(text), flush=True)


def _plain(text: str) -> str:
    """Take out what a terminal would obey: a message of somebody else's may stand in a log."""
    return _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", text)
