"""`ocg status`: the contract's four lines; exit status 0 when all is well, 3 when nothing runs, 1 otherwise."""

import argparse
import json

from ocg.cli import services, terminal
from ocg.errors import EX_NOT_RUNNING
from ocg.managers.base import Status


def register(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    services.add_options(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Print what runs."""
    name = services.manager_name(arguments)
    status = services.manager_of(services.settings_of(arguments, name), name).status()
    print(as_json(status) if arguments.json else as_text(status))
    if status.is_ok:
        return 0
    return EX_NOT_RUNNING if status.is_stopped else 1


def as_text(status: Status) -> str:
    """Four lines for people."""
    lines = []
    for service, pid in status.pids.items():
        down = status.states.get(service, "stopped")
        state = terminal.paint(down, terminal.RED) if pid is None else f"running (PID {pid})"
        lines.append(f"{service.removeprefix('ocg-').capitalize()}: {state}")
    return "\n".join([*lines, f"Health: {status.health}"])


def as_json(status: Status) -> str:
    """One object for programs."""
    running = {
        service: {
            "running": pid is not None,
            "pid": pid,
            "state": status.states.get(service, "stopped" if pid is None else "running"),
        }
        for service, pid in status.pids.items()
    }
    return json.dumps({"services": running, "health": status.health, "ok": status.is_ok})
