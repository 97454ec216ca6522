"""The agent that a command line means, as a client of it."""

import argparse
import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from ocg.cli import services
from ocg.errors import Code, OcgError
from ocg.managers.places import SYSTEM, environ_of
from ocg.protocol.clients import AgentClient

T = TypeVar("T")


def client_of(arguments: argparse.Namespace) -> AgentClient:
    """Build the client. Raises FORBIDDEN when the agent is not for us to talk to."""
    name = services.manager_name(arguments)
    socket = services.settings_of(arguments, name).agent_sock
    return AgentClient(socket, owners=owners_of(socket, name))


def ask(arguments: argparse.Namespace, question: Callable[[AgentClient], Awaitable[T]]) -> T:
    """Ask it something."""

    async def whole() -> T:
        async with client_of(arguments) as client:
            return await question(client)

    return asyncio.run(whole())


def owners_of(socket: Path, manager: str) -> tuple[int, ...]:
    """Whose socket it may be besides ours: under the system's manager its folder's owner's, as only root could make it.

    Raises FORBIDDEN when it is not for us to talk to.
    """
    if manager != SYSTEM or str(socket) != environ_of(manager)["OCG_AGENT_SOCK"] or not socket.exists():
        return ()
    if not os.access(socket, os.W_OK):
        raise OcgError(
            Code.FORBIDDEN,
            "only members of the group ocg may talk to the system's agent",
            "sudo usermod -aG ocg $USER, then log in anew",
        )
    return (socket.parent.stat().st_uid,)
