"""Counting tokens: as the chat model's own tokenizer does, without its weights, and beside a generation."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ocg.agent.budget import MESSAGE_TOKENS, estimate
from tests.service.embedding import Service, environment, serving

TEXTS = [
    "",
    "Hello!",
    "The quick brown fox jumps over the lazy dog. " * 40,
    "你好,世界",
    "a\0b",
    "🦊" * 50,
    "x" * 100_000,
]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for the tests that do it no harm; its vocabulary is freed after 1.5 s."""
    folder = tmp_path_factory.mktemp("tokens")
    with serving(folder, environment(folder) | {"OCG_LOCAL_MODEL_IDLE": "1.5"}) as service:
        yield service


def _count(service: Service, *texts: str) -> list[int]:
    status, found = service.ask("/v1/tokens", {"texts": texts})
    assert status == 200, found
    return list(found["counts"])


def _prompt_tokens(service: Service, text: str) -> int:
    _, found = service.chat(text, max_tokens=1)
    return int(found["usage"]["prompt_tokens"])


def test_it_counts_as_the_model_does(shared: Service) -> None:
    frame = _prompt_tokens(shared, "Hello!") - _count(shared, "Hello!")[0]
    for text in ("The quick brown fox jumps over the lazy dog. " * 10, "你好,世界 " * 20, "def f(x): return x ** 2"):
        assert _prompt_tokens(shared, text) - _count(shared, text)[0] == frame


def test_what_the_agent_counts_is_never_less_than_what_the_model_reads(shared: Service) -> None:
    """An estimate by bytes would be: texts in Chinese and code have more tokens."""
    said = [
        ("system", "You are OCG. It is Wednesday, 2026-11-25 18:23 (UTC, UTC+0000)."),
        ("user", "How do I sharpen a chisel?"),
        ("assistant", "Flatten the back on a stone, hold the bevel at 25 degrees."),
        ("user", "你好,今天天气怎么样? What about `def f(x): return x**2`?"),
    ]
    body = {"messages": [{"role": role, "content": text} for role, text in said], "max_tokens": 1}
    read = shared.ask("/v1/chat/completions", body)[1]["usage"]["prompt_tokens"]
    counted = sum(_count(shared, *(text for _, text in said))) + MESSAGE_TOKENS * len(said)
    assert read <= counted <= read * 1.1
    assert sum(estimate(text) + MESSAGE_TOKENS for _, text in said) < read


def test_every_text_has_a_count_and_the_weights_are_not_loaded(shared: Service) -> None:
    counts = _count(shared, *TEXTS)
    assert len(counts) == len(TEXTS)
    assert counts[0] == 0
    assert all(count > 0 for count in counts[1:])
    assert counts[2] < len(TEXTS[2]) / 3


def test_it_is_counted_while_the_model_writes(shared: Service) -> None:
    _count(shared, "warm")
    body = {"messages": [{"role": "user", "content": "word " * 5000}], "max_tokens": 200}
    with shared.waiting("/v1/chat/completions", body):
        time.sleep(0.5)  # it reads its prompt for many seconds by now
        began = time.monotonic()
        assert _count(shared, "Hello!")[0] > 0
        assert time.monotonic() - began < 2


def test_it_is_counted_while_somebody_has_far_more_counted(shared: Service) -> None:
    _count(shared, "warm")
    with shared.waiting("/v1/tokens", {"texts": [" " * 4_000_000]}):
        time.sleep(0.5)  # it is counted for many seconds by now
        began = time.monotonic()
        assert _count(shared, "Hello!")[0] > 0
        assert time.monotonic() - began < 2


def test_a_long_text_is_counted_in_pieces_of_which_none_is_left_out(shared: Service) -> None:
    text = "The quick brown fox jumps over the lazy dog. "
    assert _count(shared, text * 4000)[0] == pytest.approx((_count(shared, text * 40)[0] - 1) * 100, rel=0.001)
    assert _count(shared, text * 4000, "", "Hello!")[1:] == _count(shared, "", "Hello!")


def test_what_does_not_fit_is_refused(shared: Service) -> None:
    for body in ({}, {"texts": "one"}, {"texts": [5]}, {"texts": ["x"] * 5000}):
        assert shared.ask("/v1/tokens", body)[0] == 400
    status, found = shared.ask("/v1/tokens", {"texts": ["x"], "model": "other"})
    assert (status, found["error"]["code"]) == (404, "model_unknown")
    status, found = shared.ask("/v1/tokens", {"texts": ["x" * (4 << 20), "y"]})
    assert (status, found["error"]["code"], found["error"]["param"]) == (413, "too_large", "texts")
    assert _count(shared) == []


def test_without_the_model_the_error_says_what_to_do(tmp_path: Path) -> None:
    with serving(tmp_path, environment(tmp_path) | {"OCG_LOCAL_MODEL": "qwen2.5-1.5b"}) as service:
        status, found = service.ask("/v1/tokens", {"texts": ["x"]})
        assert (status, found["error"]["code"]) == (503, "model_missing")
        assert "ocg models pull" in found["error"]["hint"]
