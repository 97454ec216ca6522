"""`ocg logs`: the journal where systemd runs the services, their log files where nobody does."""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path

from ocg.cli import services
from ocg.cli.since import moment
from ocg.errors import Code, OcgError
from ocg.managers.base import SERVICES
from ocg.managers.logfiles import Record, records
from ocg.managers.places import DIRECT, USER


def register(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    services.add_manager(parser)
    parser.add_argument("service", nargs="?", help="embedding, agent or gateway (default: all three)")
    parser.add_argument("-f", "--follow", action="store_true", help="go on with what is logged from now on")
    parser.add_argument("-n", "--lines", type=int, default=100, metavar="N", help="at the most so many (default: 100)")
    parser.add_argument("--since", metavar="TIME", help="10m, 2h, today, 14:30, 2026-01-31 14:30 …")
    parser.add_argument("--turn", metavar="ID", help="only what belongs to this turn")
    parser.add_argument("--session", metavar="ID", help="only what belongs to this session")


def run(arguments: argparse.Namespace) -> int:
    """Show the log."""
    name = services.manager_name(arguments)
    wanted = _named(arguments.service)
    now = datetime.now()  # noqa: DTZ005 - local time is meant, as in the log
    since = moment(arguments.since, now) if arguments.since else None
    if name != DIRECT:
        sys.stdout.flush()
        command = journalctl(wanted, arguments, since, user=name == USER)
        os.execvp(command[0], command)  # noqa: S606 - it takes our place: pager, colours and Ctrl-C are its own
    folder = services.settings_of(arguments, name).log_dir
    _show(folder, wanted, arguments, since)
    return 0


def journalctl(
    wanted: Iterable[str], arguments: argparse.Namespace, since: datetime | None, *, user: bool
) -> list[str]:
    """Return the command that shows it."""
    unit = "--user-unit" if user else "--unit"
    command = ["journalctl", *(f"{unit}={service}.service" for service in wanted), f"--lines={arguments.lines}"]
    if arguments.follow:
        command.append("--follow")
    if since:
        command.append(f"--since=@{int(since.timestamp())}")
    fields = {"OCG_TURN": arguments.turn, "OCG_SESSION": arguments.session}
    return [*command, *(f"{field}={value}" for field, value in fields.items() if value)]


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
    files = [file for service in wanted if (file := folder / f"{service}.log").exists()]
    if not files:
        raise OcgError(Code.NOT_FOUND, f"there is no log in {folder}", "start the services: ocg start")
    found = sorted(_chosen((one for file in files for one in records(file)), ids, since), key=lambda one: one.time)
    for record in found[-arguments.lines :]:
        print(record.text)
    if arguments.follow:
        sys.stdout.flush()
        _follow(files, ids)


def _chosen(found: Iterable[Record], ids: list[str], since: datetime | None) -> Iterator[Record]:
    earliest = f"{since:%Y-%m-%d %H:%M:%S}" if since else ""
    return (one for one in found if one.time >= earliest and all(wanted in one.text for wanted in ids))


def _follow(files: list[Path], ids: list[str]) -> None:
    """Print what tail(1) finds new, by name, so that a new log takes the old one's place."""
    with subprocess.Popen(["tail", "-q", "-n0", "-F", *map(str, files)], stdout=subprocess.PIPE, text=True) as tail:
        try:
            for line in tail.stdout or ():
                if all(wanted in line for wanted in ids):
                    print(line, end="", flush=True)
        finally:
            tail.terminate()
