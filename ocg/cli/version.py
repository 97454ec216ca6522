"""`ocg version`."""

import argparse
import json
from dataclasses import asdict

from ocg import __version__
from ocg.cli import build


def register(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Print the version, the commit and the build."""
    if arguments.json:
        print(json.dumps({"version": __version__} | asdict(build.find())))
    else:
        print(build.text())
    return 0
