"""What the agent can do: every tool stands in the list below."""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from ocg.agent.conversations import Conversations
from ocg.agent.marks import marked
from ocg.agent.metrics import Metrics
from ocg.agent.providers.base import ToolSpec
from ocg.agent.results import Results
from ocg.agent.rows import Turn
from ocg.agent.tools import files, web
from ocg.agent.tools.base import Outcome, Place, Tool, failed, parse, spec
from ocg.agent.tools.command import ExecTool, ProcessTool
from ocg.agent.tools.image import ImageTool
from ocg.agent.tools.memory import MemorySearchTool, MemoryStoreTool
from ocg.agent.tools.message import MessageTool
from ocg.agent.tools.result import ReadResultTool
from ocg.agent.tools.schedule import ScheduleTool
from ocg.agent.tools.sessions import SessionsTool
from ocg.agent.tools.skill import SkillTool
from ocg.agent.tools.time import TimeTool
from ocg.agent.transcript import INTERRUPTED
from ocg.errors import Code, OcgError
from ocg.protocol.messages import ToolItem, ToolList, ToolUse

if TYPE_CHECKING:
    from ocg.agent.parts import Parts

_log = logging.getLogger(__name__)


def everything(parts: "Parts") -> tuple[Tool, ...]:
    """Return all tools there are but `spawn`, which is made of what runs them.

    A model with a small context is offered the first of them (ocg/agent/prompting.py).
    """
    return (
        TimeTool(),
        MemorySearchTool(parts.memories),
        MemoryStoreTool(parts.memories),
        ReadResultTool(Results(parts.database)),
        SkillTool(parts.skills),
        *files.tools(parts.confinement),
        ExecTool(parts.confinement, parts.processes),
        *web.tools(parts.settings, parts.confinement, parts.browsers),
        ScheduleTool(parts.schedules),
        SessionsTool(Conversations(parts.database)),
        MessageTool(parts.deliveries),
        ProcessTool(parts.processes),
        ImageTool(parts.confinement, parts.directory.provider),
    )


def for_others(parts: "Parts") -> tuple[Tool, ...]:
    """Return those for whoever is not the owner: what they have remembered is proposed, and no task stays behind."""
    return (
        TimeTool(),
        MemorySearchTool(parts.memories),
        MemoryStoreTool(parts.memories, is_proposing=True),
        ReadResultTool(Results(parts.database)),
    )


class Toolbox:
    """The tools of an agent; whoever is not the owner has `others`. `more` are those that come and go."""

    def __init__(
        self,
        tools: Sequence[Tool],
        metrics: Metrics | None = None,
        *,
        others: "Toolbox | None" = None,
        more: Callable[[], Iterable[Tool]] = tuple,
    ) -> None:
        self._own = {tool.name: tool for tool in tools}
        self._more = more
        self._metrics = metrics or Metrics()
        self._others = others or self

    @property
    def _tools(self) -> dict[str, Tool]:
        """All there are now. None that comes has the name of one of our own."""
        return self._own | {tool.name: tool for tool in self._more() if tool.name not in self._own}

    def of(self, turn: Turn) -> "Toolbox":
        """Return the tools that whoever asks has; a sub-agent has those of them that it was given."""
        found = self if turn.is_owners else self._others
        return found.only(turn.spawned.tools) if turn.spawned else found

    def only(self, names: Collection[str]) -> "Toolbox":
        """Return those of these names."""
        return Toolbox([tool for name, tool in self._tools.items() if name in names], self._metrics)

    def add(self, tool: Tool) -> None:
        """Add one that is made of what has the tools."""
        self._own[tool.name] = tool

    def specs(self) -> tuple[ToolSpec, ...]:
        """Describe all of them."""
        return tuple(spec(tool) for tool in self._tools.values())

    def listed(self) -> ToolList:
        """Describe all of them to people."""
        pairs = ((tool, spec(tool)) for tool in self._tools.values())
        found = (ToolItem(one.name, one.description, one.parameters, tool.default) for tool, one in pairs)
        return ToolList(tools=tuple(found))

    def find(self, name: str) -> Tool | None:
        """Return a tool by its name, if there is one."""
        return self._tools.get(name)

    def is_repeatable(self, call: ToolUse) -> bool:
        """Whether a call that was cut off may simply be done again; a tool that is not there may come, and have run."""
        tool = self._tools.get(call.name)
        return tool is not None and tool.is_repeatable

    def interrupted(self, call: ToolUse) -> Outcome:
        """Say that a call was cut off."""
        return Outcome(INTERRUPTED.format(name=call.name), is_error=True)

    async def run(self, call: ToolUse, place: Place) -> Outcome:
        """Do a call; whatever goes wrong is an outcome that the model is told."""
        with self._metrics.tool_call(call.name, is_known=call.name in self._tools) as measured:
            outcome = await self._run(call, place)
            if outcome.is_error:
                measured.fail("error")
        return outcome

    async def _run(self, call: ToolUse, place: Place) -> Outcome:
        tool = self._tools.get(call.name)
        if tool is None:
            known = ", ".join(self._tools)
            return failed(OcgError(Code.NOT_FOUND, f"no tool is called {call.name!r}", f"the tools are {known}"))
        try:
            arguments = parse(tool, call.arguments)
        except OcgError as error:
            return failed(error)
        source = call.name if tool.is_outside else ""
        try:
            async with asyncio.timeout(tool.timeout_s):
                content = await tool.run(arguments, place)
            return Outcome(marked(content, source) if source else content)
        except TimeoutError:
            return failed(OcgError(Code.TIMEOUT, f"{call.name} took longer than {tool.timeout_s:g} s", "ask for less"))
        except OcgError as error:
            return failed(error, source=source)
        except Exception:  # noqa: BLE001 - a tool may fail in any way, the turn goes on
            _log.exception("the tool %s failed", call.name)
            return failed(OcgError(Code.INTERNAL, f"{call.name} failed by a bug in OCG", "do without it"))
