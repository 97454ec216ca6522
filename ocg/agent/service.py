"""ocg-agent as a service: opens agent.db, takes up what was cut off, listens on its Unix socket."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from socket import socket
from typing import Any

from ocg import config
from ocg.agent import confinement as confinements
from ocg.agent import mcp, providers
from ocg.agent.app import create_app
from ocg.agent.approvals.gate import Gate
from ocg.agent.approvals.records import Records
from ocg.agent.deliveries import Deliveries
from ocg.agent.factory import create_toolbox, create_turns
from ocg.agent.hooks import Hooks
from ocg.agent.imports import load_aiohttp
from ocg.agent.live import Watch
from ocg.agent.memory import Memories
from ocg.agent.memory.capture import Capture
from ocg.agent.memory.notes import Notes
from ocg.agent.metrics import Metrics
from ocg.agent.outbox import Outbox
from ocg.agent.policy import PolicyFile
from ocg.agent.processes import Processes
from ocg.agent.providers.passthrough import Passthrough
from ocg.agent.responses import Responses
from ocg.agent.rows import Turn
from ocg.agent.schedules import Schedules, SystemClock
from ocg.agent.schedules.scheduler import Scheduler
from ocg.agent.schema import MIGRATIONS
from ocg.agent.skills import Skills, roots
from ocg.agent.store import Store
from ocg.agent.tools.web.browser import Browsers
from ocg.agent.wishes import Wishes
from ocg.agent.workspace import Workspace
from ocg.config import AgentSettings
from ocg.database import Database
from ocg.lifecycle import sockets
from ocg.lifecycle.measured import Measured
from ocg.lifecycle.notify import Notifier
from ocg.lifecycle.service import Serving
from ocg.protocol.clients import EmbeddingClient
from ocg.protocol.events import LAST, TurnEvent
from ocg.telemetry import spans

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
        settings = self._settings
        async with AsyncExitStack() as owned:
            tracer = await owned.enter_async_context(spans.tracing(settings.traces, self.name))
            metrics = Metrics(tracer)
            database = await Database.open(settings.data_dir / "agent.db", MIGRATIONS)
            owned.push_async_callback(database.close)
            embedding = await owned.enter_async_context(EmbeddingClient(settings.address_dir))
            directory = await providers.Directory.open(settings, Wishes(database), metrics)
            owned.push_async_callback(directory.provider.close)
            outbox, store = Outbox(database, embedding), Store(database)
            memories = Memories(database, embedding, outbox)
            capture = Capture(memories, directory.provider, settings)
            deliveries, schedules = Deliveries(database), Schedules(database, SystemClock())
            confinement, skills = (
                confinements.choose(settings),
                Skills(roots(settings.data_dir, settings.workspace_dir)),
            )
            servers = await owned.enter_async_context(mcp.opened(settings, confinement))
            hooks = await owned.enter_async_context(_hooked(Hooks(settings.data_dir, confinement)))
            passthrough, processes = Passthrough(), Processes(confinement)
            browsers = Browsers(confinement, settings.web_private)
            for one in (passthrough, processes, browsers):
                owned.push_async_callback(one.close)
            toolbox = create_toolbox(
                database,
                memories=memories,
                schedules=schedules,
                skills=skills,
                deliveries=deliveries,
                confinement=confinement,
                processes=processes,
                metrics=metrics,
                more=servers.tools,
                settings=settings,
                provider=directory.provider,
                browsers=browsers,
            )
            workspace = Workspace(settings.workspace_dir)
            await workspace.prepare()
            gate = Gate(Records(database), PolicyFile(settings.data_dir, settings.workspace_dir), settings, hooks)
            await gate.apply(settings)

            async def forget(session_id: str) -> None:
                await processes.end_session(session_id)
                browsers.end_session(session_id)
                hooks.tell("session.deleted", session_id=session_id)

            turns = create_turns(
                database,
                memories=memories,
                provider=directory.provider,
                use_model=directory.use,
                workspace=workspace,
                settings=settings,
                deliveries=deliveries,
                capture=capture,
                toolbox=toolbox,
                skills=skills,
                metrics=metrics,
                gate=gate,
                on_deleted=forget,
                watch=_watching(hooks, browsers),
            )
            listener = inherited[0] if inherited else sockets.listen_unix(settings.agent_sock)
            if not inherited:
                owned.callback(sockets.remove_unix, settings.agent_sock)
            # Before anybody can connect: a new message must not overtake one that was cut off.
            owned.push_async_callback(turns.close)
            await turns.resume()
            notes = Notes(database, outbox, settings.workspace_dir)
            _begin(
                owned,
                _background(outbox, servers),
                memories.run_for_ever(),
                notes.run_for_ever(),
                capture.run_for_ever(),
                Scheduler(schedules, turns).run_for_ever(),
            )
            app = create_app(
                store=store,
                turns=turns,
                memories=memories,
                outbox=outbox,
                deliveries=deliveries,
                directory=directory,
                toolbox=toolbox,
                metrics=metrics,
                passthrough=passthrough,
                responses=Responses(database),
                gate=gate,
                schedules=schedules,
                skills=skills,
                hooks=hooks,
                servers=servers,
                confined_by=confinement.name,
            )
            hooks.tell("agent.started")

            async def apply(new: AgentSettings) -> frozenset[str]:
                found = await servers.read()
                await gate.apply(new)  # first: a file with a mistake in it changes nothing
                await directory.apply(new)
                turns.apply(new)
                capture.apply(new)
                await servers.apply(found)
                return _LIVE

            where = str(settings.agent_sock)
            measured = Measured(app, metrics.meter, tracer)
            yield Serving(measured, [listener], where, workers=(database.worker,), apply=apply)


def _watching(hooks: Hooks, browsers: Browsers) -> Watch:
    """Tell hooks of what happens; a sub-agent's browser goes with it, as there are few."""

    def watch(turn: Turn, event: TurnEvent) -> None:
        hooks.watch(turn, event)
        if turn.spawned and isinstance(event, LAST):
            browsers.end_session(turn.session_id)

    return watch


async def _background(outbox: Outbox, servers: mcp.Servers) -> None:
    """Do what need not be done before READY=1."""
    await load_aiohttp()
    await servers.start()
    await outbox.empty_for_ever()


@asynccontextmanager
async def _hooked(hooks: Hooks) -> AsyncIterator[Hooks]:
    async with AsyncExitStack() as owned:
        _begin(owned, hooks.run_for_ever())
        owned.push_async_callback(hooks.stop)
        yield hooks


def _begin(owned: AsyncExitStack, *jobs: Coroutine[Any, Any, None]) -> None:
    for job in jobs:
        owned.push_async_callback(_ended, asyncio.create_task(job))


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
