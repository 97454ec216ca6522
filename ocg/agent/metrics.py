"""What ocg-agent measures: turns, what models and tools did for them, and what waits."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ocg.agent.live import LiveTurn
from ocg.protocol.messages import Usage
from ocg.telemetry.metrics import OTHER, SLOW_S, Meter, Names
from ocg.telemetry.spans import Tracer
from ocg.telemetry.work import Outcome, Work

if TYPE_CHECKING:
    from ocg.agent.providers.chain import Link

_MODEL = ("provider", "model")


class Metrics:
    """All of them; traces where there is a tracer."""

    def __init__(self, tracer: Tracer | None = None) -> None:
        self.meter = meter = Meter("ocg-agent")
        self._turns = Work(meter, tracer, "turn", "Turns", bounds_s=SLOW_S)
        self._first_text = meter.histogram(
            "turn_first_text", "Turns: how long until the first text of the answer.", bounds_s=SLOW_S
        )
        self._model_calls = Work(meter, tracer, "model_call", "Calls of models", "provider", bounds_s=SLOW_S)
        self._tool_calls = Work(meter, tracer, "tool_call", "Calls of tools", "tool")
        self._tokens = meter.counter(
            "tokens", "Tokens by kind: prompt, cached (which are among the prompt's) and completion.", *_MODEL, "kind"
        )
        self._cost = meter.counter("cost_dollars", "What models cost in US dollars, where that is known.", *_MODEL)
        self._queue = meter.gauge("turn_queue", "Turns that are there, by state: running or waiting.", "state")
        self._deliveries = meter.gauge("deliveries_waiting", "Answers that their channel has not delivered yet.")
        self._outbox = meter.gauge("memory_outbox", "Changes of memories that ocg-embedding was not told yet.")
        self._breakers = meter.gauge(
            "provider_breaker", "1 for the state that a provider's breaker has, 0 for the others.", "provider", "state"
        )
        self._models = Names()

    @contextmanager
    def turn(self, live: LiveTurn) -> Iterator[None]:
        """Measure a turn, from when it was asked for."""
        attributes = {"gen_ai.operation.name": "invoke_agent", "gen_ai.conversation.id": live.turn.session_id}
        with self._turns.measured("invoke_agent ocg", attributes=attributes) as outcome:
            try:
                yield
            finally:
                if live.result in {"ok", "joined"}:  # who has joined another is let go by cancelling it
                    outcome.result = live.result
                elif live.result:
                    outcome.fail(live.result)
        if live.first_text_s is not None:
            self._first_text.observe(live.first_text_s)

    @contextmanager
    def model_call(self, provider: str, model: str = "") -> Iterator[Outcome]:
        """Measure a model's reply; `took` tells what it came to."""
        attributes = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": provider}
        attributes |= {"gen_ai.request.model": model} if model else {}
        with self._model_calls.measured(f"chat {model}".rstrip(), provider, attributes=attributes) as outcome:
            yield outcome

    def took(self, outcome: Outcome, provider: str, model: str, usage: Usage) -> None:
        """Count what a reply took. Only a model that has answered gets a name here."""
        at = (provider, self._models.of(model))
        self._tokens.labels(*at, "prompt").inc(usage.prompt_tokens)
        self._tokens.labels(*at, "cached").inc(usage.cached_tokens)
        self._tokens.labels(*at, "completion").inc(usage.completion_tokens)
        self._cost.labels(*at).inc(usage.cost)
        used = {"gen_ai.usage.input_tokens": usage.prompt_tokens, "gen_ai.usage.output_tokens": usage.completion_tokens}
        outcome.note(used)

    @contextmanager
    def tool_call(self, name: str, *, is_known: bool) -> Iterator[Outcome]:
        """Measure a tool's run; a name that the model made up is no label."""
        tool = name if is_known else OTHER
        attributes = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": tool}
        with self._tool_calls.measured(f"execute_tool {tool}", tool, attributes=attributes) as outcome:
            yield outcome

    def look(self, *, running: int, waiting: int, deliveries: int, outbox: int, links: "Iterable[Link]") -> None:
        """Take in how things are now."""
        self._queue.labels("running").set(running)
        self._queue.labels("waiting").set(waiting)
        self._deliveries.set(deliveries)
        self._outbox.set(outbox)
        self._breakers.clear()  # another provider may be in use
        for link in links:
            for state in type(link.breaker.state):
                self._breakers.labels(link.name, state.value).set(link.breaker.state is state)
