"""Puts together what runs turns."""

from ocg.agent.approvals.gate import Gate
from ocg.agent.approvals.records import Records
from ocg.agent.archive import Archive
from ocg.agent.budget import Counter
from ocg.agent.commands import Commands, UseModel
from ocg.agent.compaction import Compactor
from ocg.agent.deliveries import Deliveries
from ocg.agent.engine import Engine
from ocg.agent.live import Watch
from ocg.agent.memory import Memories
from ocg.agent.memory.capture import Capture
from ocg.agent.metrics import Metrics
from ocg.agent.parts import Parts
from ocg.agent.policy import PolicyFile
from ocg.agent.prompting import Prompter
from ocg.agent.providers.base import Provider
from ocg.agent.queue import Limits
from ocg.agent.results import Results
from ocg.agent.skills import Skills
from ocg.agent.store import Store
from ocg.agent.tools import Toolbox, everything, for_others
from ocg.agent.tools.spawn import SpawnTool
from ocg.agent.turns import OnDeleted, Turns
from ocg.agent.workspace import Workspace
from ocg.config import AgentSettings
from ocg.database import Database


def create_agent(parts: Parts) -> tuple[Turns, Toolbox]:
    """Build what runs turns with all tools there are, and these."""
    others = Toolbox(for_others(parts), parts.metrics)
    toolbox = Toolbox(everything(parts), parts.metrics, others=others, more=parts.servers.tools)
    turns = create_turns(
        parts.database,
        memories=parts.memories,
        provider=parts.directory.provider,
        use_model=parts.directory.use,
        workspace=parts.workspace,
        settings=parts.settings,
        deliveries=parts.deliveries,
        capture=parts.capture,
        toolbox=toolbox,
        skills=parts.skills,
        metrics=parts.metrics,
        gate=parts.gate,
        on_deleted=parts.forget,
        watch=parts.watch,
    )
    return turns, toolbox


def create_turns(
    database: Database,
    *,
    memories: Memories,
    provider: Provider,
    workspace: Workspace,
    settings: AgentSettings,
    deliveries: Deliveries,
    toolbox: Toolbox,
    skills: Skills | None = None,
    capture: Capture | None = None,
    use_model: UseModel | None = None,
    limits: Limits | None = None,
    gate: Gate | None = None,
    metrics: Metrics | None = None,
    on_deleted: OnDeleted | None = None,
    watch: Watch | None = None,
) -> Turns:
    """Build it over a database; without a gate there are no rules for its tools."""
    store, archive, counter, results = Store(database), Archive(database), Counter(provider), Results(database)
    metrics = metrics or Metrics()
    compactor = Compactor(
        provider=provider, archive=archive, counter=counter, memories=memories, capture=settings.auto_capture
    )
    prompter = Prompter(workspace=workspace, archive=archive, counter=counter, compactor=compactor, skills=skills)
    commands = Commands(
        provider=provider,
        store=store,
        archive=archive,
        prompter=prompter,
        compactor=compactor,
        toolbox=toolbox,
        use_model=use_model,
    )
    engine = Engine(
        store=store,
        deliveries=deliveries,
        memories=memories,
        provider=provider,
        toolbox=toolbox,
        gate=gate or Gate(Records(database), PolicyFile(settings.data_dir, settings.workspace_dir), settings),
        prompter=prompter,
        commands=commands,
        results=results,
        metrics=metrics,
        settings=settings,
        capture=capture,
    )
    turns = Turns(store=store, engine=engine, limits=limits or Limits(), on_deleted=on_deleted, watch=watch)
    toolbox.add(SpawnTool(turns, toolbox))
    return turns
