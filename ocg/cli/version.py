"""`ocg version`."""

import argparse

from ocg import __version__


def register(parser: argparse.ArgumentParser) -> None:
    """Add nothing: the command has no options of its own."""


def run(arguments: argparse.Namespace) -> int:
    """Print the version."""
    del arguments
    print(f"ocg {__version__}")
    return 0
