"""An ordered list of providers: who answers, who stands in, and what is said when nobody does."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress

import pytest

from ocg.agent.providers.base import PLAIN, Model, Piece, PromptMessage, Reply, ToolSpec
from ocg.agent.providers.breaker import Breaker, State
from ocg.agent.providers.chain import Chain, Link
from ocg.agent.providers.refusal import RefusedError
from ocg.config import Price
from ocg.errors import Code, OcgError
from ocg.protocol.messages import Usage
from ocg.protocol.replies import ClientTool, ReplyOptions
from ocg.protocol.thinking import Reasoning

HELLO = (PromptMessage("user", "hello"),)
TIME = ToolSpec("time", "Tell the time.", {})
DOWN = OcgError(Code.PROVIDER, "down: HTTP 503: busy", "see the provider's status")
AWAY = OcgError(Code.UNAVAILABLE, "away cannot be reached: Connection refused", "start it")
LONG = OcgError(Code.CONTEXT_LENGTH, "too long")
BAD = RefusedError("bad: HTTP 400: no", "see the provider's status")

Step = str | Reasoning | Reply | OcgError | asyncio.Event | Callable[[], None]


class Scripted:
    """A provider that does what its script says, the same each time, or from each script in turn."""

    def __init__(self, name: str, *scripts: Sequence[Step], model: Model | OcgError | None = None) -> None:
        self.name = self.model_name = name
        self._scripts = list(scripts)
        self._model = model or Model(name, 4096)
        self.offered: list[int] = []
        self.is_closed = False

    async def model(self) -> Model:
        if isinstance(self._model, OcgError):
            raise self._model
        return self._model

    async def count(self, texts: Sequence[str]) -> list[int] | None:  # noqa: ARG002 - Provider's signature
        return None

    async def reply(
        self,
        messages: Sequence[PromptMessage],  # noqa: ARG002 - Provider's signature
        tools: Sequence[ToolSpec],
        *,
        max_tokens: int,  # noqa: ARG002 - as above
        options: ReplyOptions = PLAIN,  # noqa: ARG002 - as above
    ) -> AsyncGenerator[Piece, None]:
        self.offered.append(len(tools))
        for step in self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]:
            if isinstance(step, OcgError):
                raise step
            if isinstance(step, asyncio.Event):
                await step.wait()
            elif callable(step):
                step()
            else:
                yield step

    async def close(self) -> None:
        self.is_closed = True


class Clock:
    """Time as the test has it."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def _chain(*providers: Scripted, clock: Callable[[], float] | None = None) -> Chain:
    return Chain([Link(one, Breaker(clock=clock or Clock(), threshold=2, first_s=10)) for one in providers])


async def _asked(chain: Chain, *tools: ToolSpec, options: ReplyOptions = PLAIN) -> list[Piece]:
    async with aclosing(chain.reply(HELLO, tools, max_tokens=9, options=options)) as pieces:
        return [piece async for piece in pieces]


async def _failed(chain: Chain) -> OcgError:
    with pytest.raises(OcgError) as raised:
        await _asked(chain)
    return raised.value


async def test_the_first_answers_and_nobody_else_is_asked() -> None:
    one, two = Scripted("one", ["hi", Reply("hi")]), Scripted("two", [Reply("no")])
    assert await _asked(_chain(one, two)) == ["hi", Reply("hi")]
    assert two.offered == []


@pytest.mark.parametrize("error", [DOWN, AWAY, OcgError(Code.TIMEOUT, "silent"), OcgError(Code.BUSY, "busy")])
async def test_the_next_stands_in_while_nothing_was_shown(error: OcgError, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    one, two = Scripted("one", [error]), Scripted("two", [Reply("two says so")])
    assert await _asked(_chain(one, two)) == [Reply("two says so")]
    assert f"provider one failed: {error.message}" in caplog.text


@pytest.mark.parametrize("shown", ["half", Reasoning("hm")])
async def test_nobody_stands_in_once_something_was_shown(shown: str | Reasoning) -> None:
    one, two = Scripted("one", [shown, DOWN]), Scripted("two", [Reply("no")])
    chain = _chain(one, two)
    assert (await _failed(chain)).message == DOWN.message
    assert (two.offered, chain.links[0].breaker.failures) == ([], 1)


@pytest.mark.parametrize("error", [LONG, BAD])
async def test_what_is_the_requests_fault_goes_to_nobody_else_and_counts_against_nobody(error: OcgError) -> None:
    one, two = Scripted("one", [error]), Scripted("two", [Reply("no")])
    chain = _chain(one, two)
    for _ in range(5):
        assert await _failed(chain) is error
    assert (two.offered, chain.links[0].breaker.state) == ([], State.CLOSED)


async def test_who_fails_again_and_again_is_left_alone_then_tried_by_one() -> None:
    clock, gate = Clock(), asyncio.Event()
    one = Scripted("one", [DOWN], [DOWN], [gate, Reply("well again")], [Reply("well")])
    two = Scripted("two", [Reply("two")])
    chain = _chain(one, two, clock=clock)
    for _ in range(5):
        assert await _asked(chain) == [Reply("two")]
    assert (len(one.offered), chain.name) == (2, "two")
    clock.now_s = 10
    probe = asyncio.create_task(_asked(chain))
    await asyncio.sleep(0)
    others = await asyncio.gather(*(_asked(chain) for _ in range(4)))
    assert others == [[Reply("two")]] * 4
    assert len(one.offered) == 3
    gate.set()
    assert await probe == [Reply("well again")]
    assert await _asked(chain) == [Reply("well")]


async def test_a_probe_that_is_cancelled_lets_another_be_one() -> None:
    clock, began = Clock(), asyncio.Event()
    one = Scripted("one", [DOWN], [DOWN], [began.set, asyncio.Event()], [Reply("well")])
    chain = _chain(one, Scripted("two", [Reply("two")]), clock=clock)
    for _ in range(2):
        await _asked(chain)
    clock.now_s = 10
    probe = asyncio.create_task(_asked(chain))
    await began.wait()
    probe.cancel()
    with suppress(asyncio.CancelledError):
        await probe
    assert await _asked(chain) == [Reply("well")]


async def test_when_all_fail_the_error_names_each() -> None:
    chain = _chain(Scripted("one", [DOWN]), Scripted("two", [AWAY]))
    error = await _failed(chain)
    assert error.message == f"no provider answers: {DOWN.message}; {AWAY.message}"
    assert (error.code, error.hint) == (Code.UNAVAILABLE, DOWN.hint)


async def test_when_all_are_left_alone_the_one_next_in_time_is_tried_and_the_others_named() -> None:
    clock = Clock()
    one, two = Scripted("one", [DOWN]), Scripted("two", [AWAY], [AWAY], [Reply("two is back")])
    chain = _chain(one, two, clock=clock)
    await _failed(chain)
    clock.now_s = 1
    await _failed(chain)
    assert [link.breaker.state for link in chain.links] == [State.OPEN, State.OPEN]
    clock.now_s = 2
    error = await _failed(chain)  # the first is tried, since both have as long to wait
    assert DOWN.message in error.message
    assert f"two is left alone for 9 s more: {AWAY.message}" in error.message
    assert await _asked(chain) == [Reply("two is back")]


async def test_one_alone_is_asked_whatever_its_breaker_says_and_its_error_is_its_own() -> None:
    gate = asyncio.Event()
    one = Scripted("one", *[[DOWN]] * 5, [gate, DOWN])
    chain = _chain(one)
    for _ in range(5):
        assert await _failed(chain) is DOWN
    assert len(one.offered) == 5
    asking = [asyncio.create_task(_failed(chain)) for _ in range(3)]
    await asyncio.sleep(0)
    gate.set()
    assert await asyncio.gather(*asking) == [DOWN] * 3, "all of them, at once"


async def test_the_model_is_that_of_who_would_answer() -> None:
    clock = Clock()
    one, two = Scripted("one", [DOWN], model=AWAY), Scripted("two", [Reply("two")])
    chain = _chain(one, two, clock=clock)
    for _ in range(3):
        assert (await chain.model()).name == "two"
    assert await _asked(chain) == [Reply("two")]
    assert one.offered == []
    with pytest.raises(OcgError, match="away cannot be reached"):
        await _chain(one).model()


async def test_who_takes_no_tools_is_offered_none() -> None:
    small = Scripted("small", [Reply("hi")], model=Model("small", 2048, takes_tools=False))
    large = Scripted("large", [Reply("hi")])
    await _asked(_chain(small), TIME)
    await _asked(_chain(large), TIME)
    assert (small.offered, large.offered) == ([0], [1])


async def test_who_takes_no_tools_is_offered_a_clients_all_the_same() -> None:
    small = Scripted("small", [Reply("hi")], model=Model("small", 2048, takes_tools=False))
    clients = ToolSpec("clock", "Tell the ship's time.", {"type": "object"})
    await _asked(_chain(small), TIME, clients, options=ReplyOptions(tools=(ClientTool(name="clock"),)))
    assert small.offered == [1]


async def test_an_answer_stops_where_it_is_to_though_the_provider_goes_on() -> None:
    found = await _asked(
        _chain(Scripted("one", ["1, 2, ", "3, 4", Reply("1, 2, 3, 4")])), options=ReplyOptions(stop=("3",))
    )
    assert found == ["1, 2, ", Reply("1, 2, ")]


async def test_an_answer_costs_what_the_provider_says_else_what_the_settings_say() -> None:
    used = Usage(prompt_tokens=1_000_000, completion_tokens=100_000, cached_tokens=400_000)
    chain = Chain([Link(Scripted("one", [Reply("x", usage=used)]), price=Price(3, 15, 0.3))])
    (reply,) = await _asked(chain)
    assert isinstance(reply, Reply)
    assert reply.usage.cost == pytest.approx(0.6 * 3 + 0.4 * 0.3 + 0.1 * 15)
    said = Chain([Link(Scripted("one", [Reply("x", usage=used.costing(0.5))]), price=Price(3, 15))])
    (reply,) = await _asked(said)
    assert isinstance(reply, Reply)
    assert reply.usage.cost == 0.5


async def test_closing_closes_all() -> None:
    providers = [Scripted("one", [DOWN]), Scripted("two", [DOWN])]
    await _chain(*providers).close()
    assert all(one.is_closed for one in providers)


async def test_who_stands_in_is_not_sent_what_cannot_fit() -> None:
    one, two = Scripted("one", [DOWN]), Scripted("two", [Reply("cut off without a word")], model=Model("two", 100))
    three = Scripted("three", [Reply("three")], model=Model("three", 100_000))
    long = [PromptMessage("user", "word " * 2000)]
    async with aclosing(_chain(one, two, three).reply(long, (), max_tokens=9)) as pieces:
        assert [piece async for piece in pieces] == [Reply("three")]
    assert two.offered == []
    with pytest.raises(OcgError) as raised:
        async with aclosing(_chain(one, two).reply(long, (), max_tokens=9)) as pieces:
            await anext(pieces)
    assert raised.value.code is Code.CONTEXT_LENGTH  # so that a shorter one is made
