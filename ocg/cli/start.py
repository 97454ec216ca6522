"""`ocg start` and `ocg restart`."""

import argparse
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from ocg import config
from ocg.cli import services, terminal
from ocg.cli.open import link
from ocg.managers.base import AGENT, GATEWAY, Phase, Progress, StartFailedError
from ocg.managers.places import DIRECT, SYSTEM, USER, has_credential


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
    if not settings.ui_token and _ensure_token(settings.config_file, name):
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
        services.show(_announced(steps, settings, name))
    except StartFailedError as error:
        for log_line in error.log_lines:
            print(f"  {terminal.paint(log_line, terminal.DIM, sys.stderr)}", file=sys.stderr)
        raise
    return 0


def _ensure_token(file: Path, manager: str) -> bool:
    """Put a token into env.config where we may and none comes from elsewhere; return whether there is one now."""
    if file == Path(os.devnull) or has_credential(manager, config.TOKEN_KEY):
        return False
    if manager == USER:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not os.access(file if file.exists() else file.parent, os.W_OK):
        return False
    config.ensure_token(file)
    if manager == SYSTEM:
        import shutil  # noqa: PLC0415 - 5 ms, at the first start alone

        shutil.chown(file, group="ocg")  # the services' own user has to read it
        file.chmod(0o640)
    return True


def _announced(steps: Iterator[Progress], settings: config.Common, manager: str) -> Iterator[Progress]:
    """Pass the steps on; once the last service is ready, say where the page is."""
    began = time.monotonic()
    for step in steps:
        yield step
        if step.service == GATEWAY and step.phase is Phase.READY:
            terminal.line(f"All healthy after {time.monotonic() - began:.2f} s.")
            terminal.line(f"Open {terminal.paint(link(settings, step.detail, manager), terminal.BOLD)}")
