"""What start, stop and status share: their options, the manager, and a line a step."""

import argparse
import sys
from collections.abc import Iterable

from ocg import config
from ocg.cli import terminal
from ocg.managers.base import Manager, Phase, Progress

_SYMBOLS = {Phase.READY: ("✓", terminal.GREEN), Phase.STOPPED: ("■", terminal.DIM)}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of every command that touches services."""
    parser.add_argument("--pid-dir", metavar="DIR", help="where PID files lie (default: /tmp/ocg)")


def settings_of(arguments: argparse.Namespace) -> config.Common:
    """Read the settings that a command line asks for."""
    return config.gather(config.Common, {"OCG_CONFIG": arguments.config or "", "OCG_PID_DIR": arguments.pid_dir or ""})


def manager_of(settings: config.Common) -> Manager:
    """Choose who runs the services."""
    from ocg.managers.direct import DirectManager  # noqa: PLC0415 - version and chat need none

    return DirectManager(settings)


def show(steps: Iterable[Progress]) -> int:
    """Print each step as it happens, with its time; return how many services were stopped or started."""
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
    detail = f"stopped ({step.detail})" if step.phase is Phase.STOPPED else step.detail
    return f"{terminal.paint(symbol, colour)} {step.service:<14} {step.seconds:5.2f} s  {detail}"
