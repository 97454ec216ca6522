"""ocg-agent as a service: opens agent.db, takes up what was cut off, listens on its Unix socket."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from socket import socket

from ocg import config
from ocg.agent import providers
from ocg.agent.app import create_app
from ocg.agent.engine import create_turns
from ocg.agent.imports import load_aiohttp
from ocg.agent.memory import Memories
from ocg.agent.outbox import Outbox
from ocg.agent.queue import Limits
from ocg.agent.schema import MIGRATIONS
from ocg.agent.store import Store
from ocg.agent.workspace import Workspace
from ocg.config import AgentSettings
from ocg.database import Database
from ocg.lifecycle import sockets
from ocg.lifecycle.notify import Notifier
from ocg.lifecycle.service import Serving
from ocg.protocol.clients import EmbeddingClient

# What a reload can take over.
# What a reload can take over; for the token it has no use.
_LIVE = config.keys_of(AgentSettings) - config.keys_of(config.Common) - {"OCG_WORKSPACE"} | {config.TOKEN_KEY}


class AgentService:
    """See ocg.lifecycle.service.Service."""

    name = "ocg-agent"

    def __init__(self, settings: AgentSettings) -> None:
        self.pid_dir = settings.pid_dir
        self._settings = settings

    @asynccontextmanager
    async def open(self, notifier: Notifier, inherited: list[socket]) -> AsyncIterator[Serving]:
        """Build all there is to serve."""
        del notifier
        settings = self._settings
        async with AsyncExitStack() as owned:
            database = await Database.open(settings.data_dir / "agent.db", MIGRATIONS)
            owned.push_async_callback(database.close)
            embedding = await owned.enter_async_context(EmbeddingClient(settings.address_dir))
            provider = providers.Switch(providers.choose(settings))
            owned.push_async_callback(provider.close)
            outbox, store = Outbox(database, embedding), Store(database)
            memories = Memories(database, embedding, outbox)
            workspace = Workspace(settings.workspace_dir)
            await workspace.prepare()
            turns = create_turns(
                database, memories=memories, provider=provider, workspace=workspace, settings=settings, limits=Limits()
            )
            listener = inherited[0] if inherited else sockets.listen_unix(settings.agent_sock)
            if not inherited:
                owned.callback(sockets.remove_unix, settings.agent_sock)
            # Before anybody can connect: a new message must not overtake one that was cut off.
            owned.push_async_callback(turns.close)
            await turns.resume()
            background = asyncio.create_task(_background(outbox))
            owned.push_async_callback(_ended, background)
            app = create_app(store=store, turns=turns, memories=memories, outbox=outbox, provider=provider)

            async def apply(new: AgentSettings) -> frozenset[str]:
                await provider.switch(providers.choose(new))
                turns.apply(new)
                return _LIVE

            where = str(settings.agent_sock)
            yield Serving(app, [listener], where, workers=(database.worker,), apply=apply)


async def _background(outbox: Outbox) -> None:
    """Do what need not be done before READY=1."""
    await load_aiohttp()
    await outbox.empty_for_ever()


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
