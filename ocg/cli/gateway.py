"""The gateway that a command line means, as its owner asks it."""

import argparse
import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from ocg import config
from ocg.cli import services
from ocg.errors import Code, OcgError
from ocg.managers.health import gateway_url
from ocg.managers.places import is_sealed
from ocg.protocol.gateway import GatewayClient

T = TypeVar("T")


def ask(arguments: argparse.Namespace, question: Callable[[GatewayClient], Awaitable[T]]) -> T:
    """Sign in and ask. Raises FORBIDDEN when the owner's token is not for us to read."""
    name = services.manager_name(arguments)
    settings = services.settings_of(arguments, name)
    if not settings.ui_token or is_sealed(name, config.TOKEN_KEY):
        raise OcgError(
            Code.FORBIDDEN,
            "the token of this OCG is not there to be read",
            "be root or a member of the group ocg, or start OCG first: it makes one",
        )

    async def whole() -> T:
        async with GatewayClient(gateway_url(settings), settings.ui_token) as client:
            await client.sign_in()
            return await question(client)

    return asyncio.run(whole())
