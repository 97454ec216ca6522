"""Calls hooks. Those that watch hold nothing up; those of `tool.call` are waited for, and what is no yes is a no."""

import asyncio
import logging
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import msgspec

from ocg.agent.confinement import Confinement
from ocg.agent.hooks import folder
from ocg.agent.processes import command
from ocg.agent.processes.output import Ends
from ocg.agent.rows import Turn
from ocg.errors import OcgError
from ocg.protocol.events import Event
from ocg.protocol.hooks import Hook, HookList
from ocg.protocol.messages import ToolUse
from ocg.protocol.tooling import Cage, Ended, Run

_log = logging.getLogger(__name__)

_TEXT_CHARS = 1 << 14
_OUTPUT_BYTES = 1 << 14
_SAID_CHARS = 1000
_LATE_S = 5.0  # for the cage to open, and to close


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a hook may run, how many events of a kind wait for theirs, and how long the agent's end waits."""

    time_s: float = 10.0
    queued: int = 64
    stopping_s: float = 2.0


@dataclass(frozen=True, slots=True)
class No:
    """A hook that forbids a call, and why."""

    by: str
    why: str


class Guard(Protocol):
    """What is asked before a tool is run."""

    async def forbids(self, turn: Turn, call: ToolUse, arguments: object) -> No | None:
        """Return why a call is not to be run, if it is not."""


class Hooks:
    """Those in a data directory. What is told goes through a queue for each event, so that its order is kept."""

    def __init__(self, data_dir: Path, confinement: Confinement, limits: Limits | None = None) -> None:
        self._data_dir = data_dir
        self._confinement = confinement
        self._limits = limits or Limits()
        self._queues = {
            event: asyncio.Queue[dict[str, Any]](self._limits.queued)
            for event in folder.EVENTS
            if event != folder.GUARDED
        }

    async def list(self) -> HookList:
        """Return all there are."""
        return HookList(hooks=await asyncio.to_thread(folder.everything, self._data_dir))

    def watch(self, turn: Turn, event: Event) -> None:
        """Tell what happens in a turn, where hooks may be about it."""
        kind = str(type(event).__struct_config__.tag)
        if kind in self._queues:
            facts = msgspec.to_builtins(event)
            facts |= {"message": turn.message} if kind == "turn.started" else {}
            del facts["type"], facts["seq"]
            self.tell(kind, **facts, channel=turn.channel)

    def tell(self, event: str, **facts: Any) -> None:
        """Tell that something happened; it is dropped where too much waits for its hooks."""
        cut = {key: fact[:_TEXT_CHARS] if isinstance(fact, str) else fact for key, fact in facts.items()}
        try:
            self._queues[event].put_nowait({"event": event, "at": time.time(), **cut})
        except asyncio.QueueFull:
            _log.warning("hooks of %s are too slow: one event is not told", event)

    async def forbids(self, turn: Turn, call: ToolUse, arguments: object) -> No | None:
        """See Guard."""
        facts = {
            "event": folder.GUARDED,
            "at": time.time(),
            "turn_id": turn.id,
            "session_id": turn.session_id,
            "channel": turn.channel,
            "call_id": call.id,
            "name": call.name,
            "arguments": msgspec.to_builtins(arguments),
        }
        for hook in await self._found(folder.GUARDED):
            if hook.state != "off" and (why := await self._objection(hook, facts)):
                return No(f"hook {hook.name}", why)
        return None

    async def run_for_ever(self) -> None:
        """Call what is told of, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for event in self._queues:
                group.create_task(self._serve(event))

    async def stop(self) -> None:
        """Tell that the agent stops, and wait a little for what is still to be told."""
        self.tell("agent.stopping")
        with suppress(TimeoutError):
            async with asyncio.timeout(self._limits.stopping_s):
                await asyncio.gather(*(queue.join() for queue in self._queues.values()))

    async def _serve(self, event: str) -> None:
        queue = self._queues[event]
        while True:
            facts = await queue.get()
            try:
                for hook in await self._found(event):
                    if hook.state == "on":
                        await self._call(hook, facts)
            except Exception:  # noqa: BLE001 - the next event is told all the same
                _log.exception("hooks of %s failed by a bug in OCG", event)
            finally:
                queue.task_done()

    async def _found(self, event: str) -> tuple[Hook, ...]:
        try:
            return await asyncio.to_thread(folder.of_event, self._data_dir, event)
        except OSError as error:
            _log.warning("hooks of %s: %s", event, error)
            return (Hook(event, event, "refused", f"its folder cannot be read: {error.strerror}"),)

    async def _objection(self, hook: Hook, facts: dict[str, Any]) -> str:
        """Return why a hook has a call not run; empty when it has it run."""
        if hook.state == "refused":
            return f"{hook.why} (ocg hook list)"
        how, said = await self._call(hook, facts)
        return (said or how) if how else ""

    async def _call(self, hook: Hook, facts: dict[str, Any]) -> tuple[str, str]:
        """Call a hook; return how it failed, if it did, and what it said."""
        output = Ends(_OUTPUT_BYTES)
        try:
            async with asyncio.timeout(self._limits.time_s + _LATE_S):
                how = _failure(await self._run(hook, facts, output), self._limits.time_s)
        except TimeoutError:
            how = f"it took longer than {self._limits.time_s:g} s"
        except OcgError as error:
            how = str(error)
        said = output.text()[:_SAID_CHARS].strip()
        level = logging.WARNING if how else logging.INFO if said else logging.DEBUG
        _log.log(level, "hook %s/%s: %s", hook.event, hook.name, ": ".join(filter(None, (how, said))) or "done")
        return how, said

    async def _run(self, hook: Hook, facts: dict[str, Any], output: Ends) -> Ended | None:
        root = self._data_dir / folder.NAME
        request = Run(
            argv=(str(root / hook.event / hook.name),),
            env={"OCG_EVENT": hook.event},
            timeout_s=self._limits.time_s,
            is_interactive=True,
            shows=(str(root),),
        )
        return await command.follow(self._confinement, Cage.EXT, request, output, msgspec.json.encode(facts))


def _failure(ended: Ended | None, time_s: float) -> str:
    if ended is not None and ended.why:
        return f"it took longer than {time_s:g} s"
    return "" if ended is not None and ended.status == 0 else command.how(ended, time_s)
