"""ocg-embedding when more is asked than two cores can do: everybody has a turn, and nobody waits without end."""

import asyncio
import http.client
import json
import select
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from ocg.embedding.encoder import Encoder
from ocg.embedding.encoder.lane import Lane
from ocg.errors import Code, OcgError
from tests.conftest import MODELS
from tests.service.embedding import Service, environment, serving

_WORDS = "many words of a text that takes its time " * 20


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for the tests that do it no harm."""
    folder = tmp_path_factory.mktemp("load")
    with serving(folder, environment(folder)) as service:
        yield service


def _list(count: int, name: str) -> dict[str, Any]:
    return {"input": [f"{name} {number}: {_WORDS}" for number in range(count)]}


def test_one_text_is_answered_in_the_midst_of_a_list_of_thousands(shared: Service) -> None:
    with shared.waiting("/v1/embeddings", _list(5000, "fair")) as other:
        other.settimeout(0)
        for number in range(3):
            status, _ = shared.ask("/v1/embeddings", {"input": f"in between {number}"})
            assert status == 200
        with pytest.raises(BlockingIOError):
            other.recv(1)


def test_the_work_of_a_client_that_has_gone_is_dropped(shared: Service) -> None:
    with shared.waiting("/v1/embeddings", _list(5000, "gone")):
        shared.ask("/v1/embeddings", {"input": "the list is in the queue by now"})
    # 5000 such texts take minutes; the second list would be refused if the first still waited.
    for number in range(2):
        status, _ = shared.ask("/v1/embeddings", _list(20, f"next {number}"))
        assert status == 200


def test_who_comes_when_too_much_waits_hears_when_to_ask_again(shared: Service) -> None:
    with ExitStack() as clients:
        lists = [
            clients.enter_context(shared.waiting("/v1/embeddings", _list(9000, f"list {number}")))
            for number in range(3)
        ]
        answered, _, _ = select.select(lists, [], [], 60)
        answer = http.client.HTTPResponse(answered[0])
        answer.begin()
        assert answer.status == 429
        assert json.loads(answer.read())["error"]["code"] == "busy"
        assert int(answer.headers["Retry-After"]) >= 1
        answer.close()
    assert shared.ask("/v1/embeddings", {"input": "and all is well"})[0] == 200


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The lengths, in tokens, of all texts that went through the model."""
    lengths: list[int] = []
    encode = Lane.encode

    def watched(lane: Lane, texts: Any, *, threads: int) -> Any:
        lengths.extend(len(text) for text in texts)
        return encode(lane, texts, threads=threads)

    monkeypatch.setattr(Lane, "encode", watched)
    return lengths


async def test_the_same_text_at_the_same_time_is_computed_once(computed: list[int]) -> None:
    encoder = await Encoder.load(MODELS / "minilm.gguf", threads=2)
    try:
        answers = await asyncio.gather(*(encoder.embed(["one text for all"]) for _ in range(20)))
    finally:
        await encoder.close()
    assert len(computed) == 1
    assert len({one.vector.tobytes() for (one,) in answers}) == 1


async def test_a_text_that_came_before_is_not_computed_again_not_even_after_a_restart(
    computed: list[int], tmp_path: Path
) -> None:
    found = []
    for _ in range(2):
        encoder = await Encoder.load(
            MODELS / "minilm.gguf", threads=2, cache_file=tmp_path / "embeddings.db", cache_bytes=1 << 20
        )
        found += [await encoder.embed(["kept for later", "and this one, too"]) for _ in range(2)]
        await encoder.close()
    assert len(computed) == 2
    assert len({tuple(one.vector.tobytes() for one in both) for both in found}) == 1


async def test_the_beginning_of_a_long_text_is_not_kept_for_the_whole(tmp_path: Path) -> None:
    encoder = await Encoder.load(
        MODELS / "minilm.gguf", threads=2, cache_file=tmp_path / "embeddings.db", cache_bytes=1 << 20
    )
    try:
        await encoder.embed(["word " * 600], truncate=True)
        with pytest.raises(OcgError) as refused:
            await encoder.embed(["word " * 600])
        assert refused.value.code is Code.CONTEXT_LENGTH
        assert "602 tokens, minilm takes 512" in refused.value.message
    finally:
        await encoder.close()


def test_many_clients_at_once_get_their_own_answers(shared: Service) -> None:
    texts = [f"text number {number}" for number in range(200)]
    alone = {text: shared.ask("/v1/embeddings", {"input": text})[1]["data"][0]["embedding"] for text in texts[:20]}

    def ask(text: str) -> list[float]:
        found: list[float] = shared.ask("/v1/embeddings", {"input": text})[1]["data"][0]["embedding"]
        return found

    with ThreadPoolExecutor(16) as pool:
        answers = dict(zip(texts, pool.map(ask, texts), strict=True))
    for text, vector in alone.items():
        assert answers[text] == pytest.approx(vector, abs=1e-4)
