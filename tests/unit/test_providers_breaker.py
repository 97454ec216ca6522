"""A circuit breaker, by a clock that the test turns."""

import pytest
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ocg.agent.providers.breaker import Attempt, Breaker, State


class Clock:
    """Time as the test has it."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(clock=clock, threshold=3, first_s=10, longest_s=60)


def _fail(breaker: Breaker) -> None:
    attempt = breaker.enter()
    assert attempt is not None
    attempt.failed("HTTP 500")


def test_it_opens_at_the_threshold_and_says_why(breaker: Breaker) -> None:
    for _ in range(2):
        _fail(breaker)
        assert breaker.state is State.CLOSED
    _fail(breaker)
    assert (breaker.state, breaker.left_s, breaker.why) == (State.OPEN, 10, "HTTP 500")
    assert breaker.enter() is None


def test_a_success_in_between_begins_the_count_anew(breaker: Breaker) -> None:
    for _ in range(2):
        _fail(breaker)
    attempt = breaker.enter()
    assert attempt is not None
    attempt.succeeded()
    for _ in range(2):
        _fail(breaker)
    assert breaker.state is State.CLOSED


def test_after_its_time_one_alone_may_try_and_a_success_closes(breaker: Breaker, clock: Clock) -> None:
    for _ in range(3):
        _fail(breaker)
    clock.now_s += 9.9
    assert breaker.enter() is None
    clock.now_s += 0.1
    assert breaker.state is State.HALF_OPEN
    probe = breaker.enter()
    assert probe is not None
    assert breaker.enter() is None
    probe.succeeded()
    assert (breaker.state, breaker.failures, breaker.why) == (State.CLOSED, 0, "")


def test_each_probe_that_fails_doubles_the_time_up_to_the_longest(breaker: Breaker, clock: Clock) -> None:
    for _ in range(3):
        _fail(breaker)
    seen = []
    for _ in range(5):
        seen.append(breaker.left_s)
        clock.now_s += breaker.left_s
        _fail(breaker)
    assert seen == [10, 20, 40, 60, 60]


def test_a_probe_that_was_left_lets_another_try(breaker: Breaker, clock: Clock) -> None:
    for _ in range(3):
        _fail(breaker)
    clock.now_s += 10
    probe = breaker.enter()
    assert probe is not None
    probe.left()
    probe.failed("too late to count")
    assert breaker.failures == 3
    assert breaker.enter() is not None


def test_what_began_before_it_opened_neither_lengthens_it_nor_ends_a_probe(breaker: Breaker, clock: Clock) -> None:
    early = [breaker.enter() for _ in range(5)]
    for _ in range(3):
        _fail(breaker)
    for attempt in early[:4]:
        assert attempt is not None
        attempt.failed("late")
    assert breaker.left_s == 10
    clock.now_s += 10
    probe = breaker.enter()
    assert probe is not None
    last = early[4]
    assert last is not None
    last.failed("later still")
    assert breaker.enter() is None, "the probe is still under way"


def test_one_may_try_early_where_nobody_else_is_left(breaker: Breaker) -> None:
    for _ in range(3):
        _fail(breaker)
    assert breaker.enter(early=True) is not None
    assert breaker.enter(early=True) is None


class Machine(RuleBasedStateMachine):
    """Whatever happens in whatever order: never two probes at once, never open for longer than the longest time."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.breaker = Breaker(clock=self.clock, threshold=2, first_s=10, longest_s=60)
        self.attempts: list[Attempt] = []

    @rule()
    def enter(self) -> None:
        if (attempt := self.breaker.enter()) is not None:
            self.attempts.append(attempt)

    @precondition(lambda self: self.attempts)
    @rule()
    def succeed(self) -> None:
        self.attempts.pop(0).succeeded()
        assert self.breaker.state is State.CLOSED

    @precondition(lambda self: self.attempts)
    @rule()
    def fail(self) -> None:
        self.attempts.pop().failed("why")

    @precondition(lambda self: self.attempts)
    @rule()
    def leave(self) -> None:
        self.attempts.pop().left()

    @rule()
    def wait(self) -> None:
        self.clock.now_s += 7

    @invariant()
    def holds(self) -> None:
        assert sum(attempt.is_probe for attempt in self.attempts) <= 1
        assert 0 <= self.breaker.left_s <= 60


TestMachine = Machine.TestCase


def test_a_provider_that_is_gone_for_weeks_is_still_left_alone(clock: Clock) -> None:
    breaker = Breaker(clock=clock, threshold=1, first_s=15, longest_s=600)
    _fail(breaker)
    for _ in range(1100):
        clock.now_s += 600
        _fail(breaker)
    assert breaker.left_s == 600
