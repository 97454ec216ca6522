"""An ordered list of providers: the first that is well answers, the others stand in while nothing was shown."""

import logging
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from ocg.agent.metrics import Metrics
from ocg.agent.providers.base import PLAIN, Model, Piece, PromptMessage, Provider, Reply, ToolSpec
from ocg.agent.providers.breaker import Attempt, Breaker, State
from ocg.agent.providers.refusal import RefusedError
from ocg.agent.providers.stopping import stopped
from ocg.config import Price
from ocg.errors import Code, OcgError
from ocg.protocol.replies import ReplyOptions

_log = logging.getLogger(__name__)

_MOST_BYTES_A_TOKEN = 5  # of English, at its best
# They say something of the request, nothing of the provider.
_OF_THE_REQUEST = frozenset({Code.CONTEXT_LENGTH, Code.TOO_LARGE, Code.INVALID_REQUEST})


@dataclass(frozen=True, slots=True)
class Link:
    """A provider with its breaker, and what it costs; `label` is its name in settings, where it has one."""

    provider: Provider
    breaker: Breaker = field(default_factory=Breaker)
    price: Price = field(default_factory=Price)
    label: str = ""

    @property
    def name(self) -> str:
        """What metrics call it."""
        return self.label or self.provider.name


class Chain:
    """See Provider. One alone is asked whatever its breaker says: there is nobody to stand in for it."""

    def __init__(self, links: Sequence[Link], metrics: Metrics | None = None) -> None:
        self.links = tuple(links)
        self._metrics = metrics or Metrics()

    @property
    def name(self) -> str:
        """See Provider."""
        return self._first.provider.name

    @property
    def model_name(self) -> str:
        """See Provider."""
        return self._first.provider.model_name

    @property
    def _first(self) -> Link:
        """Who would be asked now."""
        return next((one for one in self.links if one.breaker.state is not State.OPEN), self.links[0])

    async def model(self) -> Model:
        """See Provider; it is the model of who would answer now."""
        failures: list[OcgError] = []
        for link, attempt in self._attempts():
            try:
                found = await link.provider.model()
            except OcgError as error:
                self._failed(link, attempt, error)
                failures.append(error)
            else:
                return found
            finally:
                attempt.left()
        raise self._all_failed(failures)

    async def reply(
        self,
        messages: Sequence[PromptMessage],
        tools: Sequence[ToolSpec],
        *,
        max_tokens: int,
        options: ReplyOptions = PLAIN,
    ) -> AsyncGenerator[Piece, None]:
        """See Provider."""
        failures: list[OcgError] = []
        for link, attempt in self._attempts():
            is_shown = False
            try:
                if failures:  # the prompt was laid out for another
                    await _check_room(link, messages, max_tokens)
                # A tool call that is half sent was not shown: only text and reasoning were.
                replies = _replies(link, messages, tools, max_tokens, options, self._metrics)
                async with aclosing(replies) as pieces:
                    async for piece in pieces:
                        is_shown = True
                        if isinstance(piece, Reply):
                            attempt.succeeded()
                        yield piece
            except OcgError as error:
                self._failed(link, attempt, error)
                is_too_long = error.code is Code.CONTEXT_LENGTH and bool(failures)
                if is_shown or (_is_of_the_request(error) and not is_too_long):
                    raise
                failures.append(error)
            else:
                return
            finally:
                attempt.left()
        raise self._all_failed(failures)

    async def count(self, texts: Sequence[str]) -> list[int] | None:
        """See Provider."""
        return await self._first.provider.count(texts)

    async def close(self) -> None:
        """See Provider."""
        for link in self.links:
            await link.provider.close()

    def _attempts(self) -> Iterator[tuple[Link, Attempt]]:
        """Give those that may be tried, in order; when none may, the one whose time is up first."""
        is_tried = False
        for link in self.links:
            attempt = link.breaker.enter() if len(self.links) > 1 else Attempt(link.breaker, is_probe=False)
            if attempt is not None:
                is_tried = True
                yield link, attempt
        if not is_tried:
            soonest = min(self.links, key=lambda one: one.breaker.left_s)
            if (attempt := soonest.breaker.enter(early=True)) is not None:
                yield soonest, attempt

    def _failed(self, link: Link, attempt: Attempt, error: OcgError) -> None:
        if _is_of_the_request(error):
            attempt.succeeded()
            return
        was = link.breaker.state
        attempt.failed(error.message)
        if len(self.links) > 1:
            _log.info("provider %s failed: %s [%s]", link.provider.name, error.message, error.code)
            if link.breaker.state is State.OPEN and was is not State.OPEN:
                _log.warning("provider %s is left alone for %.0f s", link.provider.name, link.breaker.left_s)

    def _all_failed(self, failures: Sequence[OcgError]) -> OcgError:
        """Return one error for all; alone, a provider's own."""
        if len(self.links) == 1 and failures:
            return failures[0]
        # A shorter prompt is for who asks to make.
        if too_long := next((one for one in failures if one.code is Code.CONTEXT_LENGTH), None):
            return too_long
        said = [error.message for error in failures]
        said += [
            f"{one.provider.name} is left alone for {one.breaker.left_s:.0f} s more: {one.breaker.why}"
            for one in self.links
            if one.breaker.why and one.breaker.why not in said
        ]
        codes = [error.code for error in failures]
        code = Code.UNAVAILABLE if Code.UNAVAILABLE in codes or not codes else codes[0]
        hint = failures[0].hint if failures else "wait, or use another: ocg provider list"
        return OcgError(code, f"no provider answers: {'; '.join(said)}", hint)


def _is_of_the_request(error: OcgError) -> bool:
    return isinstance(error, RefusedError) or error.code in _OF_THE_REQUEST


async def _check_room(link: Link, messages: Sequence[PromptMessage], max_tokens: int) -> None:
    """Raise CONTEXT_LENGTH when a prompt is surely too long: some servers cut it without a word, and tools with it."""
    model = await link.provider.model()
    needed = sum(len(one.content.encode()) for one in messages) // _MOST_BYTES_A_TOKEN + max_tokens
    if needed > model.context_tokens:
        raise OcgError(
            Code.CONTEXT_LENGTH,
            f"{link.provider.name}: the prompt takes at least {needed} tokens, {model.name} has {model.context_tokens}",
            "send less at once",
        )


async def _replies(
    link: Link,
    messages: Sequence[PromptMessage],
    tools: Sequence[ToolSpec],
    max_tokens: int,
    options: ReplyOptions,
    metrics: Metrics,
) -> AsyncGenerator[Piece, None]:
    """Ask one; who takes no tools is offered only a client's, which must not be left out without a word.

    An answer gets its price where the provider named none.
    """
    model = await link.provider.model()
    asked_for = {one.name for one in options.tools}
    offered = [one for one in tools if model.takes_tools or one.name in asked_for]
    reply: Reply | None = None
    with metrics.model_call(link.name, model.name) as measured:
        async with (
            aclosing(link.provider.reply(messages, offered, max_tokens=max_tokens, options=options)) as whole,
            aclosing(stopped(whole, options.stop)) as pieces,
        ):
            async for piece in pieces:
                if isinstance(piece, Reply):
                    reply = _priced(piece, link.price)
                    metrics.took(measured, link.name, model.name, reply.usage)
                    break
                yield piece
    if reply is not None:  # who takes it may not come back for the end
        yield reply


def _priced(reply: Reply, price: Price) -> Reply:
    usage = reply.usage
    if usage.cost:
        return reply
    cost = price.of(
        prompt_tokens=usage.prompt_tokens,
        cached_tokens=usage.cached_tokens,
        completion_tokens=usage.completion_tokens,
    )
    return replace(reply, usage=usage.costing(cost)) if cost else reply
