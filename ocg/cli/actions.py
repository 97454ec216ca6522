"""The actions of a command, such as `pull` of `ocg models`."""

import argparse


class Actions:
    """Adds them to the command's parser; one of them has to be named."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._parsers = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    def add(self, name: str, summary: str) -> argparse.ArgumentParser:
        """Add one, and return its parser."""
        return self._parsers.add_parser(name, help=summary, description=summary)
