"""What start, stop and status share: their options, the manager, and a line a step."""

import argparse
import os
import sys
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from ocg import config
from ocg.cli import terminal
from ocg.managers.base import Manager, Phase, Progress

S = TypeVar("S", bound=config.Common)
_SYMBOLS = {
    Phase.READY: ("✓", terminal.GREEN),
    Phase.RELOADED: ("✓", terminal.GREEN),
    Phase.STOPPED: ("■", terminal.DIM),
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of every command that touches services."""
    add_manager(parser)
    parser.add_argument("--pid-dir", metavar="DIR", help="where PID files lie (default: /tmp/ocg)")


def add_manager(parser: argparse.ArgumentParser) -> None:
    """Add the option that says whose services are meant."""
    parser.add_argument("--manager", metavar="NAME", help="who runs the services: system, user or direct")


def manager_name(arguments: argparse.Namespace) -> str:
    """Choose who runs the services; naming a configuration of one's own means that no unit does."""
    from ocg.managers.choose import choose  # noqa: PLC0415 - version needs none

    pid_dir = getattr(arguments, "pid_dir", None) or os.environ.get("OCG_PID_DIR")
    file = arguments.config or os.environ.get("OCG_CONFIG")
    return choose(getattr(arguments, "manager", None) or "", file=file or "", pid_dir=pid_dir or "")


def settings_of(arguments: argparse.Namespace, manager: str = "") -> config.Common:
    """Read the settings that the services have whom this command line means."""
    return settings_as(config.Common, arguments, manager)


def settings_as(kind: type[S], arguments: argparse.Namespace, manager: str = "") -> S:
    """Read the settings of one of the services that this command line means.

    Under systemd a user may not be allowed to read the services' file, and need not be.
    """
    from ocg.managers.places import DIRECT, environ_of  # noqa: PLC0415 - as above

    name = manager or manager_name(arguments)
    args = {"OCG_CONFIG": arguments.config or "", "OCG_PID_DIR": getattr(arguments, "pid_dir", None) or ""}
    environ = {**environ_of(name), **os.environ}
    named = args["OCG_CONFIG"] or environ.get("OCG_CONFIG")
    if name != DIRECT and not named and not _may_read(Path(environ["CONFIGURATION_DIRECTORY"])):
        del environ["CONFIGURATION_DIRECTORY"]
        environ["OCG_CONFIG"] = os.devnull
    return config.gather(kind, args, environ)


def _may_read(folder: Path) -> bool:
    file = folder / "env.config"
    return os.access(file, os.R_OK) or (os.access(folder, os.X_OK) and not file.exists())


def file_of(arguments: argparse.Namespace, manager: str) -> Path:
    """Return the env.config that those services read, whether or not it is there and we may read it."""
    from ocg.managers.places import environ_of  # noqa: PLC0415 - as above

    named = arguments.config or os.environ.get("OCG_CONFIG")
    return Path(named or f"{environ_of(manager).get('CONFIGURATION_DIRECTORY', '.')}/env.config").absolute()


def manager_of(settings: config.Common, name: str) -> Manager:
    """Return who runs the services."""
    from ocg.managers.places import DIRECT, USER  # noqa: PLC0415 - as above

    if name == DIRECT:
        from ocg.managers.direct import DirectManager  # noqa: PLC0415 - as above

        return DirectManager(settings)
    from ocg.managers.systemd import SystemdManager  # noqa: PLC0415 - as above

    return SystemdManager(settings, user=name == USER)


def is_asked_by(service: str) -> bool:
    """Whether a tool within a service runs this command: then the stop it asks for must not cut it off."""
    from ocg.managers.detached import is_inside  # noqa: PLC0415 - as above

    return is_inside(service)


def queue(steps: Iterable[Progress]) -> None:
    """Do the steps once this command has ended."""
    from ocg.managers.detached import after_exit  # noqa: PLC0415 - as above

    after_exit(lambda: deque(steps, maxlen=0))


def show(steps: Iterable[Progress]) -> int:
    """Print each step as it happens, with its time; return how many services came to where they were to go."""
    done = 0
    try:
        for step in steps:
            if step.phase in _SYMBOLS:
                done += 1
                terminal.line(_line(step))
            else:
                terminal.rewrite(f"… {step.service:<14} {step.seconds:5.2f} s  {step.detail or step.phase}")
    finally:
        if sys.stdout.isatty():
            print("\r\x1b[K", end="", flush=True)
    return done


def _line(step: Progress) -> str:
    symbol, colour = _SYMBOLS[step.phase]
    detail = step.detail
    if step.phase is not Phase.READY:
        detail = f"{step.phase} ({detail})" if detail else str(step.phase)
    return f"{terminal.paint(symbol, colour)} {step.service:<14} {step.seconds:5.2f} s  {detail}"
