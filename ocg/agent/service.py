"""ocg-agent as a service: opens agent.db, takes up what was cut off, listens on its Unix socket."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from socket import socket

from ocg import config
from ocg.agent import background
from ocg.agent.app import create_app
from ocg.agent.factory import create_agent
from ocg.agent.imports import load_aiohttp
from ocg.agent.memory.notes import Notes
from ocg.agent.parts import Parts, opened
from ocg.agent.schedules.scheduler import Scheduler
from ocg.config import AgentSettings
from ocg.lifecycle import sockets
from ocg.lifecycle.measured import Measured
from ocg.lifecycle.notify import Notifier
from ocg.lifecycle.service import Serving

# What a reload can take over; for the token it has no use.
_FIXED = config.keys_of(config.Common) | {
    "OCG_WORKSPACE",
    "OCG_TOOL_SANDBOX",
    "OCG_WEB_PRIVATE",
    "OCG_SEARCH",
    "OCG_SEARCH_URL",
    "BRAVE_API_KEY",
}
_LIVE = config.keys_of(AgentSettings) - _FIXED | {config.TOKEN_KEY}


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
        async with AsyncExitStack() as owned:
            parts = await owned.enter_async_context(opened(self._settings, self.name))
            turns, toolbox = create_agent(parts)
            where = self._settings.agent_sock
            listener = inherited[0] if inherited else sockets.listen_unix(where)
            if not inherited:
                owned.callback(sockets.remove_unix, where)
            # Before anybody can connect: a new message must not overtake one that was cut off.
            owned.push_async_callback(turns.close)
            await turns.resume()
            await owned.enter_async_context(
                background.jobs(
                    _begin(parts),
                    parts.memories.run_for_ever(),
                    Notes(parts.database, parts.outbox, self._settings.workspace_dir).run_for_ever(),
                    parts.capture.run_for_ever(),
                    Scheduler(parts.schedules, turns).run_for_ever(),
                )
            )
            parts.hooks.tell("agent.started")

            async def apply(new: AgentSettings) -> frozenset[str]:
                await parts.apply(new)
                turns.apply(new)
                return _LIVE

            app = Measured(create_app(parts, turns, toolbox), parts.metrics.meter, parts.tracer)
            yield Serving(app, [listener], str(where), workers=(parts.database.worker,), apply=apply)


async def _begin(parts: Parts) -> None:
    """Do what need not be done before READY=1."""
    await load_aiohttp()
    await parts.servers.start()
    await parts.outbox.empty_for_ever()
