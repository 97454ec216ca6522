"""`ocg reload`."""

import argparse

from ocg import config
from ocg.cli import services


def register(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    services.add_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Have the services read their configuration; one with a mistake in it is told here, and goes to nobody."""
    name = services.manager_name(arguments)
    for kind in (config.EmbeddingSettings, config.AgentSettings, config.GatewaySettings):
        services.settings_as(kind, arguments, name)
    services.show(services.manager_of(services.settings_of(arguments, name), name).reload())
    return 0
