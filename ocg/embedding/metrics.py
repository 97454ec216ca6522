"""What ocg-embedding measures: embeddings, searches and the local model's chats."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from ocg.telemetry.metrics import SLOW_S, Meter
from ocg.telemetry.spans import Tracer
from ocg.telemetry.work import Outcome, Work


class Metrics:
    """All of them; traces where there is a tracer."""

    def __init__(self, tracer: Tracer | None = None) -> None:
        self.meter = meter = Meter("ocg-embedding")
        self._embeddings = Work(meter, tracer, "embedding", "Requests to embed texts")
        self._texts = meter.counter("texts", "Texts embedded, by source: the model or the cache.", "source")
        self._tokens = meter.counter("text_tokens", "Tokens of the texts that the model embedded.")
        self.waiting_texts = meter.gauge("texts_waiting", "Texts that wait for the embedding model, or are in it.")
        self._searches = Work(meter, tracer, "search", "Searches for vectors, without embedding", plural="searches")
        self._chats = Work(meter, tracer, "chat", "Answers of the local chat model", bounds_s=SLOW_S)
        self._chat_tokens = meter.counter("chat_tokens", "Tokens of the local chat model, by kind.", "kind")
        self.running_chats = meter.gauge("chats_running", "Chats that the local model answers, or that wait for it.")

    def embedding(self) -> AbstractContextManager[Outcome]:
        """Measure a request for embeddings."""
        return self._embeddings.measured("embeddings", attributes={"gen_ai.operation.name": "embeddings"})

    def embedded(self, *, computed: int, cached: int, tokens: int) -> None:
        """Count what a request came to; `tokens` are those of what was computed."""
        self._texts.labels("model").inc(computed)
        self._texts.labels("cache").inc(cached)
        self._tokens.inc(tokens)

    def search(self) -> AbstractContextManager[Outcome]:
        """Measure a search."""
        return self._searches.measured("search")

    @contextmanager
    def chat(self, model: str) -> Iterator[None]:
        """Measure an answer of the local model, waiting included."""
        attributes = {"gen_ai.operation.name": "chat", "gen_ai.request.model": model}
        with self.running_chats.track_inprogress(), self._chats.measured(f"chat {model}", attributes=attributes):
            yield

    def chatted(self, *, prompt_tokens: int, completion_tokens: int) -> None:
        """Count what an answer took."""
        self._chat_tokens.labels("prompt").inc(prompt_tokens)
        self._chat_tokens.labels("completion").inc(completion_tokens)
