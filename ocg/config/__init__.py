"""Settings: env.config, the environment and the command line become one frozen object a service."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from ocg.config.envfile import ensure_token
from ocg.config.envfile import read as read_file
from ocg.config.settings import (
    TOKEN_KEY,
    AgentSettings,
    Common,
    EmbeddingSettings,
    GatewaySettings,
    Setting,
    declared,
    load,
)

S = TypeVar("S", bound=Common)

__all__ = [
    "TOKEN_KEY",
    "AgentSettings",
    "Common",
    "EmbeddingSettings",
    "GatewaySettings",
    "Setting",
    "declared",
    "ensure_token",
    "gather",
    "load",
    "read_file",
]


def gather(cls: type[S], args: Mapping[str, str]) -> S:
    """Build settings from where they really are: `args`, this process's environment, and OCG_CONFIG or ./env.config.

    Raises CONFIG_INVALID; a file that was asked for by name must exist.
    """
    named = args.get("OCG_CONFIG") or os.environ.get("OCG_CONFIG")
    found = read_file(Path(named or "env.config"), required=bool(named))
    return load(cls, args=args, environ=os.environ, file=found)
