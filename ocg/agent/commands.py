"""What the commands do: /help, /new, /compact, /status, /model, /usage, /stop. They are answered without the model."""

import datetime as dt
from collections.abc import Awaitable, Callable

from ocg.agent import context, slash
from ocg.agent.archive import Archive
from ocg.agent.compaction import Compactor
from ocg.agent.prompting import Prompter
from ocg.agent.providers.base import Model, Provider
from ocg.agent.rows import Turn
from ocg.agent.slash import Command, Word
from ocg.agent.store import Store
from ocg.agent.tools import Toolbox
from ocg.errors import OcgError
from ocg.protocol.messages import Usage

_HELP = """\
/help - this list
/new - begin anew: what was said is kept, but not shown to the model any more
/compact [what to keep] - sum up what was said, to make room
/status - the model, how full its context is, messages and memories
/model [NAME or NAME:MODEL] - which model answers, or have another provider answer; default undoes that
/usage - the tokens that were used
/stop - end what runs in this conversation, and what waits"""
_DEFAULT = "default"

Stop = Callable[[], Awaitable[int]]
# Takes providers as OCG_PROVIDER names them, or nothing for what the settings say; raises INVALID_REQUEST.
UseModel = Callable[[str], Awaitable[None]]


class Commands:
    """Answers commands."""

    def __init__(
        self,
        *,
        provider: Provider,
        store: Store,
        archive: Archive,
        prompter: Prompter,
        compactor: Compactor,
        toolbox: Toolbox,
        use_model: UseModel | None = None,
    ) -> None:
        self._provider = provider
        self._store = store
        self._archive = archive
        self._prompter = prompter
        self._compactor = compactor
        self._toolbox = toolbox
        self._use_model = use_model

    async def answer(self, turn: Turn, stop: Stop) -> str:
        """Do what a command says and return what the user is told; `stop` ends the session's other turns.

        Raises what the model raises where it is needed.
        """
        command = slash.parse(turn.message) or Command(Word.UNKNOWN, turn.message.strip("/ "))
        if command.word is Word.STOP:
            return _stopped(await stop())
        answers: dict[Word, Callable[[str, str], Awaitable[str]]] = {
            Word.HELP: _help,
            Word.NEW: self._new,
            Word.COMPACT: self._compact,
            Word.STATUS: self._status,
            Word.MODEL: self._model,
            Word.USAGE: self._usage,
        }
        return await answers.get(command.word, _unknown)(turn.session_id, command.rest)

    async def _new(self, session_id: str, _: str) -> str:
        await self._archive.clear(session_id)
        return "A new beginning: the model is shown nothing of what was said before."

    async def _compact(self, session_id: str, wish: str) -> str:
        model = await self._provider.model()
        view = await self._archive.view(session_id, await self._store.history(session_id))
        before = await self._tokens(session_id, model)
        done = await self._compactor.compact(session_id, view, model, kept=1, wish=wish)
        if done is None:
            return "There is nothing to sum up yet."
        how = "" if done.kind == "summary" else ", as an extract of what you said"
        after = await self._tokens(session_id, model)
        return f"{done.messages} messages are summed up{how}: the next prompt takes {after} tokens instead of {before}."

    async def _tokens(self, session_id: str, model: Model) -> int:
        tools = await self._prompter.fitting(model, self._toolbox.specs())
        return await self._prompter.measure(session_id, await self._store.history(session_id), model=model, tools=tools)

    async def _status(self, session_id: str, _: str) -> str:
        counts = await self._archive.counts(session_id)
        lines = [
            f"Messages: {counts.messages}" + (f", {counts.hidden} of them not shown any more" if counts.hidden else ""),
            f"Compactions: {counts.compactions}",
            f"Memories: {await self._archive.memory_count()}",
        ]
        try:
            model = await self._provider.model()
            tokens, most = await self._tokens(session_id, model), context.room(model)
            first = [f"Model: {model.name} ({self._provider.name})", f"Context: {tokens} of {most} tokens"]
        except OcgError as error:
            first = [f"Model: not to be had: {error}"]
        return "\n".join(first + lines)

    async def _model(self, _: str, name: str) -> str:
        """Say which model answers; with a name, have that provider answer, here and in every conversation."""
        if name and self._use_model is not None:
            try:
                await self._use_model("" if name == _DEFAULT else name)
            except OcgError as error:
                return f"Nothing has changed: {error}"
        model = await self._provider.model()
        said = f"{model.name or 'its own model'} ({self._provider.name}), {model.context_tokens} tokens of context"
        return f"From now on: {said}" if name else said

    async def _usage(self, session_id: str, _: str) -> str:
        midnight = dt.datetime.now().astimezone().replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
        asked = {
            "This conversation": await self._archive.usage(session_id=session_id),
            "Today": await self._archive.usage(since=midnight),
            "All that is kept": await self._archive.usage(),
        }
        return "\n".join(f"{name}: {_tokens(usage)}" for name, usage in asked.items())


async def _help(_: str, __: str) -> str:
    return _HELP


async def _unknown(_: str, word: str) -> str:
    return f"There is no command /{word}. /help lists them."


def _tokens(usage: Usage) -> str:
    return f"{usage.total_tokens} tokens ({usage.prompt_tokens} read, {usage.completion_tokens} written)"


def _stopped(count: int) -> str:
    match count:
        case 0:
            return "Nothing runs."
        case 1:
            return "Stopped."
    return f"Stopped: one that ran, and {count - 1} that waited."
