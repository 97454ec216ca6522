"""Gathers what the model is shown and counts it; what is too long is summed up first, or left out."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

from ocg.agent import context, marks
from ocg.agent.archive import Archive, Mark, View
from ocg.agent.budget import BYTES_A_TOKEN, Counter, digest, text_of
from ocg.agent.compaction import Compactor
from ocg.agent.context import Laid, Prompt, Sized
from ocg.agent.providers.base import Model, PromptMessage, Reply, ToolSpec
from ocg.agent.results import cut_middle
from ocg.agent.rows import Turn
from ocg.agent.skills import Skills
from ocg.agent.tools.skill import SkillTool
from ocg.agent.transcript import exchanges, paired
from ocg.agent.workspace import Texts, Workspace
from ocg.config import AgentSettings
from ocg.protocol.messages import Memory, Message

# What each part that stands before the conversation may take of the room, as one part in so many.
_TOOLS_PART, _FILES_PART, _SKILLS_PART, _MEMORIES_PART, _SUMMARY_PART = 3, 4, 16, 8, 4
_CUT_ROUNDS = 4
_LEAST_RESULT_CHARS = 400

_Keyed = list[list[tuple[str, PromptMessage]]]


class Prompter:
    """Lays out prompts. `skills` are told of where the tool is offered that loads them."""

    def __init__(
        self,
        *,
        workspace: Workspace,
        archive: Archive,
        counter: Counter,
        compactor: Compactor,
        skills: Skills | None = None,
    ) -> None:
        self._workspace = workspace
        self._archive = archive
        self._counter = counter
        self._compactor = compactor
        self._skills = skills

    def apply(self, settings: AgentSettings) -> None:
        """Do as new settings say, from the next turn on."""
        self._compactor.apply(settings)

    async def lay(
        self,
        turn: Turn,
        history: Sequence[Message],
        *,
        model: Model,
        memories: Sequence[Memory] = (),
        tools: Sequence[ToolSpec] = (),
        free_share: float = 1.0,
    ) -> Laid:
        """Lay out a turn's prompt. At the turn's beginning what is too long is summed up, if that can be done.

        `free_share` is how much of what the exchange that is answered could take it may take: its results of tools are
        cut further, for a model that has refused the prompt.
        """
        view = await self._archive.view(turn.session_id, history)
        laid = await self._laid(view, model, turn, memories, tools, free_share)
        if free_share == 1.0 and len(laid.newest) == 1 and await self._compactor.relieve(turn.session_id, view, laid):
            view = await self._archive.view(turn.session_id, history)
            laid = await self._laid(view, model, turn, memories, tools)
        return laid

    async def fitting(self, model: Model, tools: Sequence[ToolSpec]) -> tuple[ToolSpec, ...]:
        """Return those of our tools that a prompt has room for: it begins with them, and is not to be made of them."""
        if not model.takes_tools:
            return ()
        room = context.room(model) // _TOOLS_PART
        up_to = accumulate(await self._counter.each_tool(model, tools))
        return tuple(tool for tool, tokens in zip(tools, up_to, strict=True) if tokens <= room)

    async def measure(
        self, session_id: str, history: Sequence[Message], *, model: Model, tools: Sequence[ToolSpec]
    ) -> int:
        """Return how many tokens a session's next prompt takes, without the message to come."""
        view = await self._archive.view(session_id, history)
        laid = await self._laid(view, model, None, (), tools)
        return laid.tokens

    def learn(self, laid: Laid, prompt: Prompt, tools: Sequence[ToolSpec], reply: Reply) -> None:
        """Take over what a reply says of its prompt's length."""
        self._counter.learn(laid.model, prompt.messages, tools, reply.usage.prompt_tokens)

    async def _laid(
        self,
        view: View,
        model: Model,
        turn: Turn | None,
        memories: Sequence[Memory],
        tools: Sequence[ToolSpec],
        free_share: float = 1.0,
    ) -> Laid:
        asked_tokens = turn.options.max_tokens if turn else None
        keyed = _joined(await self._given(turn), _keyed(model, view)) if turn else _keyed(model, view)
        system = await self._system(model, view.mark, turn, memories, tools)
        tools_tokens = await self._counter.tools(model, tools)
        *older, newest = keyed or [[]]
        sized = await self._sized(model, newest)
        free = model.context_tokens - context.reserved(model, asked_tokens) - system.tokens - tools_tokens
        sized = await self._squeezed(model, sized, int(min(free, context.sum_of(sized)) * free_share))
        return Laid(model, system, tools_tokens, await self._recent(model, older), tuple(sized), asked_tokens)

    async def _given(self, turn: Turn) -> "_Keyed":
        """Part the conversation that a turn's client keeps into exchanges, and key each message by its text."""
        calls = [call.id for one in turn.context for call in one.tool_calls]
        given = context.given(turn.context, await self._archive.opaque(calls) if calls else {})
        return [[(digest(text_of(one)), one) for one in each] for each in given]

    async def _recent(
        self, model: Model, older: Sequence[Sequence[tuple[str, PromptMessage]]]
    ) -> tuple[tuple[Sized, ...], ...]:
        """Size exchanges from the newest on, until they are surely too many: a long history is not counted through."""
        found: list[tuple[Sized, ...]] = []
        tokens, batch = 0, 16
        rest = list(older)
        while rest and tokens <= model.context_tokens:
            taken, rest = rest[-batch:], rest[:-batch]
            flat = await self._sized(model, [one for exchange in taken for one in exchange])
            at = 0
            parted = []
            for exchange in taken:
                parted.append(tuple(flat[at : at + len(exchange)]))
                at += len(exchange)
            found[:0] = parted
            tokens += context.sum_of(flat)
            batch *= 2
        return tuple(found)

    async def _sized(self, model: Model, keyed: Sequence[tuple[str, PromptMessage]]) -> list[Sized]:
        counts = await self._counter.messages(model, keyed)
        return [Sized(message, count) for count, (_, message) in zip(counts, keyed, strict=True)]

    async def _squeezed(self, model: Model, newest: list[Sized], free: int) -> list[Sized]:
        """Cut the longest results of tools while the exchange that is answered does not fit."""
        while context.sum_of(newest) > free:
            results = [one for one in newest if one.message.role == "tool"]
            longest = max(results, key=lambda one: one.tokens, default=None)
            if longest is None or len(longest.message.content) <= _LEAST_RESULT_CHARS:
                break
            text = cut_middle(longest.message.content, max(len(longest.message.content) // 2, _LEAST_RESULT_CHARS))
            message = replace(longest.message, content=text)
            (sized,) = await self._sized(model, [(digest(text), message)])
            newest = [sized if one is longest else one for one in newest]
        return newest

    async def _system(
        self, model: Model, mark: Mark, turn: Turn | None, memories: Sequence[Memory], tools: Sequence[ToolSpec]
    ) -> Sized:
        """Write what stands before the conversation; no part may take more of the room than its share."""
        room = context.room(model)
        notes = context.notes(memories, room * BYTES_A_TOKEN // _MEMORIES_PART)
        parts = [
            await self._fitted(model, context.identity(model, await self._texts(turn)), room // _FILES_PART),
            marks.MEANING if tools else "",
            context.asked_by(turn.context, turn.options) if turn else "",
            await self._fitted(model, context.skills(await self._learnt(tools)), room // _SKILLS_PART),
            await self._fitted(model, notes, room // _MEMORIES_PART),
            await self._fitted(model, context.earlier(model, mark.summary), room // _SUMMARY_PART),
        ]
        message = PromptMessage("system", "\n\n".join(filter(None, parts)))
        (sized,) = await self._sized(model, [(digest(message.content), message)])
        return sized

    async def _learnt(self, tools: Sequence[ToolSpec]) -> tuple[str, ...]:
        """Tell of skills, where the tool is offered that loads them."""
        is_offered = any(tool.name == SkillTool.name for tool in tools)
        return await self._skills.lines() if self._skills and is_offered else ()

    async def _texts(self, turn: Turn | None) -> Texts:
        """Return what the files say; who the user is, is no stranger's business."""
        texts = await self._workspace.texts()
        return replace(texts, user="") if turn and turn.is_stranger else texts

    async def _fitted(self, model: Model, text: str, tokens: int) -> str:
        """Cut a text in its middle to at most so many tokens."""
        for _ in range(_CUT_ROUNDS):
            if not text or (count := await self._counter.one(model, text)) <= tokens:
                return text
            text = cut_middle(text, int(len(text) * tokens / count * 0.9))
        return ""


def _joined(given: _Keyed, own: _Keyed) -> _Keyed:
    """Put a turn behind what its client keeps: where the user said nothing, it goes on with the last exchange."""
    if given and own and own[0][0][1].role != "user":
        return [*given[:-1], given[-1] + own[0], *own[1:]]
    return given + own


def _keyed(model: Model, view: View) -> _Keyed:
    """Part messages into exchanges and key each by its id, or by what it is shortened to."""
    parted = exchanges(paired(view.messages))
    keyed = [[(one.id, context.shown(one, view.images.get(one.id, ()))) for one in each] for each in parted]
    if model.is_small:
        keyed[:-1] = [[(f"{one.id}/short", context.shortened(one)) for one in each] for each in parted[:-1]]
    return keyed
