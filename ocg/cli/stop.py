"""`ocg stop`."""

import argparse

from ocg.cli import services
from ocg.managers.base import AGENT
from ocg.managers.places import DIRECT


def register(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    services.add_options(parser)
    parser.add_argument("--force", action="store_true", help="kill at once, without a chance to finish")


def run(arguments: argparse.Namespace) -> int:
    """Stop the services; having nothing to stop is no error."""
    name = services.manager_name(arguments)
    steps = services.manager_of(services.settings_of(arguments, name), name).stop(force=arguments.force)
    if name != DIRECT and services.is_asked_by(AGENT):
        services.queue(steps)
        print("The stop is queued: it begins once this command has ended.")
    elif not services.show(steps):
        print("Nothing was running.")
    return 0
