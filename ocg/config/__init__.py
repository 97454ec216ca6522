"""Settings: env.config, the environment and the command line become one frozen object a service."""

import os
from collections.abc import Mapping
from typing import TypeVar

from ocg.config.settings import (
    TOKEN_KEY,
    AgentSettings,
    AlertSettings,
    Common,
    EmbeddingSettings,
    GatewaySettings,
    Setting,
    changed,
    declared,
    keys_of,
    load,
    replaced,
    value_of,
)
from ocg.config.sources import Sources
from ocg.config.values import Networks, Price, Thinking

S = TypeVar("S", bound=Common)

__all__ = [
    "TOKEN_KEY",
    "AgentSettings",
    "AlertSettings",
    "Common",
    "EmbeddingSettings",
    "GatewaySettings",
    "Networks",
    "Price",
    "Setting",
    "Sources",
    "Thinking",
    "changed",
    "declared",
    "gather",
    "keys_of",
    "load",
    "replaced",
    "value_of",
]


def gather(cls: type[S], args: Mapping[str, str], environ: Mapping[str, str] | None = None) -> S:
    """Build settings from where they really are: `args`, credentials, the environment (ours by default), env.config.

    Raises CONFIG_INVALID; a file that was asked for by name must exist.
    """
    return Sources.find(args, os.environ if environ is None else environ).load(cls)
