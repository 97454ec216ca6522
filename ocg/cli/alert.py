"""`ocg alert UNIT`: what ocg-alert@.service runs once a service has given up."""

import argparse
import os
import sys
from collections.abc import Callable

from ocg import config
from ocg.cli import terminal
from ocg.errors import OcgError

_KEYS = ("OCG_ALERT_COMMAND", "OCG_ALERT_WEBHOOK", "CREDENTIALS_DIRECTORY")


def register(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("unit", metavar="UNIT", help="the service's unit, such as ocg-agent")
    parser.add_argument("--user", action="store_true", help="ask the user's manager (default: whichever runs this)")


def run(arguments: argparse.Namespace) -> int:
    """Tell everybody; one who cannot be told keeps nobody else from it, and makes the exit status its own."""
    from ocg.managers.alert import delivery, failure  # noqa: PLC0415 - http.client takes 20 ms

    # systemd.exec(5): a user's manager, and only that, tells whom it runs its PID.
    found = failure.find(arguments.unit, os.environ, user=arguments.user or "MANAGERPID" in os.environ)
    if found.is_forgiven:
        return 0
    delivery.record(found)
    if sys.stdout.isatty():
        print(found.text)
    settings = _settings(arguments.config or "")
    worst = 0
    if command := settings.alert_command:
        worst = _told(lambda: delivery.run(command, found, os.environ))
    if url := settings.alert_webhook:
        worst = _told(lambda: delivery.post(url, found)) or worst
    return worst


def _settings(file: str) -> config.AlertSettings:
    """Read them, whatever is wrong with the others: a bad setting may be the very thing to be told."""
    try:
        return config.gather(config.AlertSettings, {"OCG_CONFIG": file})
    except OcgError as error:
        terminal.report(error)
        # systemd reads the file, too (EnvironmentFile=), and goes on past a line that does not parse.
        kept = {key: os.environ[key] for key in _KEYS if key in os.environ}
        return config.gather(config.AlertSettings, {"OCG_CONFIG": os.devnull}, kept)


def _told(tell: Callable[[], None]) -> int:
    """Tell one; report what goes wrong and return its exit status."""
    try:
        tell()
    except OcgError as error:
        terminal.report(error)
        return error.code.exit_status
    return 0
