"""`ocg stop`."""

import argparse

from ocg.cli import services


def register(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    services.add_options(parser)
    parser.add_argument("--force", action="store_true", help="kill at once, without a chance to finish")


def run(arguments: argparse.Namespace) -> int:
    """Stop the services; having nothing to stop is no error."""
    manager = services.manager_of(services.settings_of(arguments))
    if not services.show(manager.stop(force=arguments.force)):
        print("Nothing was running.")
    return 0
