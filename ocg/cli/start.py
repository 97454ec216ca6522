"""`ocg start` and `ocg restart`."""

import argparse
import sys
import time
from collections.abc import Iterator

from ocg.cli import services, terminal
from ocg.cli.open import link
from ocg.managers.base import AGENT, GATEWAY, Phase, Progress, StartFailedError
from ocg.managers.places import DIRECT


def register(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    services.add_options(parser)
    parser.add_argument(
        "--foreground", action="store_true", help="stay, restart what dies, stop all at SIGTERM (for containers)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Start the services; when one fails, show the end of its log."""
    name = DIRECT if arguments.foreground else services.manager_name(arguments)
    settings = services.settings_of(arguments, name)
    if arguments.foreground:
        from ocg.managers.foreground import Foreground  # noqa: PLC0415 - only containers need it

        steps = Foreground(settings).run()
    else:
        steps = services.manager_of(settings, name).start()
    if name != DIRECT and services.is_asked_by(AGENT):
        services.queue(steps)
        print("The restart is queued: it begins once this command has ended.")
        return 0
    try:
        services.show(_announced(steps, arguments, name))
    except StartFailedError as error:
        for log_line in error.log_lines:
            print(f"  {terminal.paint(log_line, terminal.DIM, sys.stderr)}", file=sys.stderr)
        raise
    return 0


def _announced(steps: Iterator[Progress], arguments: argparse.Namespace, manager: str) -> Iterator[Progress]:
    """Pass the steps on; once the last service is ready, and so has made a token, say where the page is."""
    began = time.monotonic()
    for step in steps:
        yield step
        if step.service == GATEWAY and step.phase is Phase.READY:
            terminal.line(f"All healthy after {time.monotonic() - began:.2f} s.")
            settings = services.settings_of(arguments, manager)
            terminal.line(f"Open {terminal.paint(link(settings, step.detail, manager), terminal.BOLD)}")
