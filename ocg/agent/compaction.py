"""The oldest part of a long conversation is summed up by the model, and the summary is shown in its place.

Nothing is deleted. When the model is away, or the machine stops in the middle, all is as it was.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from ocg.agent import context, summary
from ocg.agent.archive import Archive, Kind, View
from ocg.agent.budget import BYTES_A_TOKEN, Counter, Piece, digest
from ocg.agent.context import Laid
from ocg.agent.memory import Memories
from ocg.agent.memory.patterns import is_secret
from ocg.agent.memory.records import Draft
from ocg.agent.providers.base import Model, PromptMessage, Provider, Reply
from ocg.agent.summary import Written
from ocg.agent.transcript import exchanges, paired
from ocg.config import AgentSettings
from ocg.errors import Code, OcgError
from ocg.protocol.messages import Message, Usage

_log = logging.getLogger(__name__)

# A prompt that takes more of the room than this is made shorter, down to this much of older messages.
_CROWDED_SHARE, _KEPT_SHARE = 0.75, 0.3
_AFTER_SHARE = 0.6  # at the most, whatever the message takes
# Shown two exchanges, SmolLM2-135M went on with its own nonsense whatever it was asked; shown one, it did not.
_SMALL_EXCHANGES = 1
_TIMEOUT_S = 180.0
_AGAIN_S = 120.0  # after a failure a session is left alone for so long
_MAX_FAILED = 256
_MAX_PIECES = 8
_SURE_SHARE = 0.9  # lines are counted one by one, and perhaps by an estimate
_ANSWER_TOKENS = 768
_SMALL_CHARS = 480


@dataclass(frozen=True, slots=True)
class Done:
    """How many messages were summed up, and how."""

    messages: int
    kind: Kind


class Compactor:
    """Sums up; one of these serves all sessions, and is called while the session's turn is held."""

    def __init__(
        self,
        *,
        provider: Provider,
        archive: Archive,
        counter: Counter,
        memories: Memories,
        capture: str = "off",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._provider = provider
        self._archive = archive
        self._counter = counter
        self._memories = memories
        self._capture = capture
        self._clock = clock
        self._failed: dict[str, float] = {}

    def apply(self, settings: AgentSettings) -> None:
        """Keep or propose facts as new settings say, from the next time on."""
        self._capture = settings.auto_capture

    async def relieve(self, session_id: str, view: View, laid: Laid) -> bool:
        """Sum up what is oldest when a prompt is crowded; say whether it was done. Nothing that fails is raised."""
        if not _is_crowded(laid) or self._clock() < self._failed.get(session_id, 0.0):
            return False
        kept = _kept(laid)
        try:
            return await self.compact(session_id, view, laid.model, kept=kept + 1) is not None
        except OcgError as error:
            _log.warning("session %s could not be summed up, its oldest messages are left out: %s", session_id, error)
            self._remember_failure(session_id)
            return False

    async def compact(self, session_id: str, view: View, model: Model, *, kept: int, wish: str = "") -> Done | None:
        """Sum up all but the newest exchanges; None when there is nothing to do, or another has done it.

        Raises what the provider raises, and TIMEOUT; then nothing has changed.
        """
        parted = exchanges(paired(view.messages))
        older, rest = parted[: max(len(parted) - kept, 0)], parted[max(len(parted) - kept, 0) :]
        if not older or not rest:
            return None
        messages = [one for exchange in older for one in exchange]
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                written, usage = await self._written(model, view.mark.summary, messages, wish)
        except TimeoutError:
            raise OcgError(Code.TIMEOUT, f"{model.name} did not sum up in {_TIMEOUT_S:g} s", "try again") from None
        if await self._archive.is_owners(session_id):
            await self._store(await asyncio.to_thread(summary.stated, written.facts, messages))
        kind: Kind = "summary" if written.is_models else "extract"
        is_done = await self._archive.advance(
            session_id, before=rest[0][0], old=view.mark, summary=written.text, kind=kind, usage=usage
        )
        if not is_done:
            return None
        _log.info("session %s: %d messages summed up (%s)", session_id, len(messages), kind)
        return Done(len(messages), kind)

    async def _written(
        self, model: Model, earlier: str, messages: Sequence[Message], wish: str
    ) -> tuple[Written, Usage]:
        """Write the summary of an earlier one and of messages, in as many pieces as it takes.

        A small model is not asked: of four summaries that SmolLM2-135M wrote, three said what nobody had said, and the
        fourth only repeated its text.
        """
        limit_chars = self._limit_chars(model)
        if model.is_small:
            text = await asyncio.to_thread(lambda: summary.extract(earlier, summary.lines(messages), limit_chars))
            return Written(text, is_models=False), Usage()
        asks_facts = self._asks_facts(model)
        found, facts, spent, is_models = earlier, list[str](), Usage(), True
        for lines in await self._pieces(model, messages, await self._piece_tokens(model, earlier, wish)):
            reply = await self._ask(model, summary.request(found, lines, wish, asks_facts=asks_facts))
            written = await asyncio.to_thread(
                summary.read, reply.text, found, lines, limit_chars=limit_chars, asks_facts=asks_facts
            )
            found, is_models = written.text, is_models and written.is_models
            facts += written.facts
            spent = Usage(
                prompt_tokens=spent.prompt_tokens + reply.usage.prompt_tokens,
                completion_tokens=spent.completion_tokens + reply.usage.completion_tokens,
            )
        return Written(found, tuple(facts), is_models=is_models), spent

    def _asks_facts(self, model: Model) -> bool:
        return self._capture != "off" and model.takes_tools

    async def _piece_tokens(self, model: Model, earlier: str, wish: str) -> int:
        """Return how many tokens of messages a request can carry beside what is asked and a summary of any length."""
        request = summary.request(earlier, (), wish, asks_facts=self._asks_facts(model))
        asked = [(digest(one.content), one) for one in request]
        around = sum(await self._counter.messages(model, asked)) + self._limit_chars(model) // BYTES_A_TOKEN
        room = context.room(model)
        return max(int((room - around) * _SURE_SHARE), room // 4)

    async def _pieces(self, model: Model, messages: Sequence[Message], limit: int) -> list[list[str]]:
        """Part messages into what one request can carry, a line each; of very many, the newest."""
        lines = await asyncio.to_thread(
            summary.lines, messages, limit
        )  # one that is all Chinese has a token a character
        counts = await self._counter.count(
            model, [Piece(f"{message.id}/line", line) for message, line in zip(messages, lines, strict=True)]
        )
        pieces, tokens = list[list[str]](), limit
        for line, count in zip(lines, counts, strict=True):
            if tokens + count > limit:
                pieces.append([])
                tokens = 0
            pieces[-1].append(line)
            tokens += count
        if len(pieces) > _MAX_PIECES:
            _log.warning("a conversation is too long to be summed up whole: its beginning is left out")
        return pieces[-_MAX_PIECES:]

    async def _ask(self, model: Model, messages: Sequence[PromptMessage]) -> Reply:
        pieces = self._provider.reply(messages, (), max_tokens=min(_ANSWER_TOKENS, context.answer_tokens(model)))
        async with aclosing(pieces):
            async for piece in pieces:
                if isinstance(piece, Reply):
                    return piece
        raise OcgError(Code.PROVIDER, f"{self._provider.name} gave no summary", "try again")

    @staticmethod
    def _limit_chars(model: Model) -> int:
        return _SMALL_CHARS if model.is_small else min(_ANSWER_TOKENS, context.room(model) // 8) * 5

    async def _store(self, facts: Sequence[str]) -> None:
        """Remember what is worth it, or propose it. A fact that cannot be kept is still in the messages."""
        for fact in facts:
            if self._capture == "off" or is_secret(fact):
                continue
            try:
                await self._memories.keep(Draft(text=fact, source="compaction", is_proposed=self._capture == "ask"))
            except OcgError as error:
                _log.warning("a fact could not be remembered: %s", error)
                return

    def _remember_failure(self, session_id: str) -> None:
        if len(self._failed) >= _MAX_FAILED:
            self._failed.clear()
        self._failed[session_id] = self._clock() + _AGAIN_S


def _is_crowded(laid: Laid) -> bool:
    if laid.model.is_small and len(laid.older) > _SMALL_EXCHANGES:
        return True
    return laid.tokens > laid.room * _CROWDED_SHARE


def _kept(laid: Laid) -> int:
    """Return how many exchanges before the newest stay as they are."""
    room = laid.room
    tokens = min(room * _KEPT_SHARE, room * _AFTER_SHARE - laid.needed)
    kept = len(context.newest_within(laid.older, max(int(tokens), 0)))
    return min(kept, _SMALL_EXCHANGES) if laid.model.is_small else kept
