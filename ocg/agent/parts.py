"""What an agent is made of, but for what runs its turns: built in one place, and closed in the opposite order."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from ocg.agent import background, mcp, providers
from ocg.agent import confinement as confinements
from ocg.agent.approvals.gate import Gate
from ocg.agent.approvals.records import Records
from ocg.agent.confinement import Confinement
from ocg.agent.deliveries import Deliveries
from ocg.agent.hooks import Hooks
from ocg.agent.memory import Memories
from ocg.agent.memory.capture import Capture
from ocg.agent.metrics import Metrics
from ocg.agent.outbox import Outbox
from ocg.agent.policy import PolicyFile
from ocg.agent.processes import Processes
from ocg.agent.providers.passthrough import Passthrough
from ocg.agent.rows import Turn
from ocg.agent.schedules import Schedules, SystemClock
from ocg.agent.schema import MIGRATIONS
from ocg.agent.skills import Skills, roots
from ocg.agent.store import Store
from ocg.agent.tools.web.browser import Browsers
from ocg.agent.wishes import Wishes
from ocg.agent.workspace import Workspace
from ocg.config import AgentSettings
from ocg.database import Database
from ocg.protocol.clients import EmbeddingClient
from ocg.protocol.events import LAST, TurnEvent
from ocg.telemetry import spans
from ocg.telemetry.spans import Tracer


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """All of them. `confinement` is where tools run, the three below are what runs there by itself."""

    settings: AgentSettings
    tracer: Tracer | None
    metrics: Metrics
    database: Database
    store: Store
    directory: providers.Directory
    passthrough: Passthrough
    outbox: Outbox
    memories: Memories
    capture: Capture
    deliveries: Deliveries
    schedules: Schedules
    skills: Skills
    workspace: Workspace
    gate: Gate
    hooks: Hooks
    confinement: Confinement
    servers: mcp.Servers
    processes: Processes
    browsers: Browsers

    async def forget(self, session_id: str) -> None:
        """End what a conversation that is deleted has left running, and tell."""
        await self.processes.end_session(session_id)
        self.browsers.end_session(session_id)
        self.hooks.tell("session.deleted", session_id=session_id)

    def watch(self, turn: Turn, event: TurnEvent) -> None:
        """Tell hooks of what happens; a sub-agent's browser goes with it, as there are few."""
        self.hooks.watch(turn, event)
        if turn.spawned and isinstance(event, LAST):
            self.browsers.end_session(turn.session_id)

    async def apply(self, settings: AgentSettings) -> None:
        """Do as new settings say, and as the files beside them do. Raises CONFIG_INVALID; nothing has changed then."""
        servers, policy = await self.servers.read(), await self.gate.policy.read()
        await self.directory.apply(settings)  # the last that may refuse
        self.gate.apply(settings, policy)
        self.capture.apply(settings)
        await self.servers.apply(servers)


@asynccontextmanager
async def opened(settings: AgentSettings, name: str) -> AsyncIterator[Parts]:
    """Build all of them."""
    async with AsyncExitStack() as owned:
        tracer = await owned.enter_async_context(spans.tracing(settings.traces, name))
        metrics = Metrics(tracer)
        database = await Database.open(settings.data_dir / "agent.db", MIGRATIONS)
        owned.push_async_callback(database.close)
        embedding = await owned.enter_async_context(EmbeddingClient(settings.address_dir))
        directory = await providers.Directory.open(settings, Wishes(database), metrics)
        owned.push_async_callback(directory.provider.close)
        outbox = Outbox(database, embedding)
        memories = Memories(database, embedding, outbox)
        confinement = confinements.choose(settings)
        servers = await owned.enter_async_context(mcp.opened(settings, confinement))
        hooks = await owned.enter_async_context(_called(Hooks(settings.data_dir, confinement)))
        passthrough, processes = Passthrough(), Processes(confinement)
        browsers = Browsers(confinement, settings.web_private)
        for one in (passthrough, processes, browsers):
            owned.push_async_callback(one.close)
        workspace = Workspace(settings.workspace_dir)
        await workspace.prepare()
        policy = PolicyFile(settings.data_dir, settings.workspace_dir)
        policy.take(await policy.read())
        yield Parts(
            settings=settings,
            tracer=tracer,
            metrics=metrics,
            database=database,
            store=Store(database),
            directory=directory,
            passthrough=passthrough,
            outbox=outbox,
            memories=memories,
            capture=Capture(memories, directory.provider, settings),
            deliveries=Deliveries(database),
            schedules=Schedules(database, SystemClock()),
            skills=Skills(roots(settings.data_dir, settings.workspace_dir)),
            workspace=workspace,
            gate=Gate(Records(database), policy, settings, hooks),
            hooks=hooks,
            confinement=confinement,
            servers=servers,
            processes=processes,
            browsers=browsers,
        )


@asynccontextmanager
async def _called(hooks: Hooks) -> AsyncIterator[Hooks]:
    """Have hooks called; of what is told at the end, too."""
    async with background.jobs(hooks.run_for_ever()):
        try:
            yield hooks
        finally:
            await hooks.stop()
