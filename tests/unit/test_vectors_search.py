"""What a search finds: as much as comparing with everything would, whatever the metric, the filter and what is dead."""

import asyncio
import threading
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ocg.embedding.vectors.builder import Built, Plan
from ocg.protocol.vectors import CollectionRequest, Filter, Metric, Picked, SearchRequest, VectorItem
from tests.vectors import DIM, NEVER, fill, points, store

METRICS: tuple[Metric, ...] = ("cosine", "dot", "l2")


def _scores(vectors: NDArray[np.float32], query: NDArray[np.float32], metric: Metric) -> NDArray[np.float64]:
    one, many = query.astype(np.float64), vectors.astype(np.float64)
    if metric == "l2":
        return np.asarray(-np.linalg.norm(many - one, axis=1))
    scores = many @ one
    return np.asarray(scores / np.linalg.norm(many, axis=1) / np.linalg.norm(one) if metric == "cosine" else scores)


@pytest.mark.parametrize("metric", METRICS)
async def test_scores_are_the_metrics_own_and_higher_is_nearer(tmp_path: Path, metric: Metric) -> None:
    vectors, (query,) = points(60), points(1, seed=2)
    async with store(tmp_path, NEVER) as opened:
        await fill(opened, vectors, metric=metric)
        hits = (await opened.search("c", SearchRequest(vector=query.tolist(), top_k=60))).hits
    wanted = _scores(vectors, query, metric)
    assert [int(hit.id) for hit in hits] == np.argsort(-wanted).tolist()
    assert [hit.score for hit in hits] == pytest.approx(sorted(wanted, reverse=True), abs=1e-4)


@pytest.mark.parametrize("metric", METRICS)
async def test_a_graph_finds_what_comparing_with_everything_finds(tmp_path: Path, metric: Metric) -> None:
    vectors, queries = points(3000), points(50, seed=2)
    async with store(tmp_path) as opened:
        await fill(opened, vectors, metric=metric)
        state = (await opened.info("c")).index
        assert state.kind == ("flat" if metric == "dot" else "hnsw")
        assert (state.indexed, state.recent) == (3000, 0)
        right = 0
        for query in queries:
            hits = (await opened.search("c", SearchRequest(vector=query.tolist()))).hits
            best = np.argsort(-_scores(vectors, query, metric))[:10].tolist()
            right += len({int(hit.id) for hit in hits} & set(best))
    assert right >= 0.98 * 10 * len(queries)


@pytest.mark.parametrize("divisor", [1000, 100, 10, 2, 1])
async def test_filters_keep_recall_however_few_they_let_through(tmp_path: Path, divisor: int) -> None:
    vectors, queries = points(5000), points(20, seed=2)
    wanted: Filter = {"n": {"$in": list(range(0, 5000, divisor))}} if divisor > 5 else {"n": {"$lt": 5000 // divisor}}
    among = np.arange(0, 5000, divisor) if divisor > 5 else np.arange(5000 // divisor)
    async with store(tmp_path) as opened:
        await fill(opened, vectors)
        right = every = 0
        for query in queries:
            hits = (await opened.search("c", SearchRequest(vector=query.tolist(), filter=wanted))).hits
            best = among[np.argsort(-_scores(vectors[among], query, "cosine"))[:10]]
            assert len(hits) == len(best)
            right += len({int(hit.id) for hit in hits} & set(best.tolist()))
            every += len(best)
    assert right >= 0.98 * every


@pytest.mark.parametrize("share", [0.6, 0.8, 0.99])
async def test_filters_that_let_much_through_keep_recall_in_the_graph(tmp_path: Path, share: float) -> None:
    vectors, queries, limit = points(5000), points(50, seed=2), int(5000 * share)
    async with store(tmp_path) as opened:
        await fill(opened, vectors)
        right = 0
        for query in queries:
            found = await opened.search("c", SearchRequest(vector=query.tolist(), filter={"n": {"$lt": limit}}))
            best = np.argsort(-_scores(vectors[:limit], query, "cosine"))[:10].tolist()
            right += len({int(hit.id) for hit in found.hits} & set(best))
    assert right >= 0.98 * 10 * len(queries)


async def test_what_was_deleted_or_replaced_is_found_no_more_in_a_graph_and_beside_it(tmp_path: Path) -> None:
    vectors = points(400)
    async with store(tmp_path) as opened:
        await fill(opened, vectors)
        await opened.upsert("c", [VectorItem(id=f"new{at}", vector=vectors[at].tolist()) for at in range(50)])
        await opened.delete("c", Picked(ids=[*(str(at) for at in range(50)), "new0", "new1"]))
        await opened.upsert("c", [VectorItem(id="new2", vector=vectors[399].tolist())])
        state = (await opened.info("c")).index
        assert (state.kind, state.indexed, state.recent, state.dead) == ("hnsw", 350, 48, 53)
        for at in range(50):
            hits = (await opened.search("c", SearchRequest(vector=vectors[at].tolist(), top_k=1000))).hits
            found = {hit.id: hit.score for hit in hits}
            assert len(found) == len(hits) == 398
            assert str(at) not in found
            assert (f"new{at}" in found and found[f"new{at}"] == pytest.approx(1, abs=1e-5)) or at < 3


async def test_a_minimum_score_cuts_off_and_base64_is_a_vector_too(tmp_path: Path) -> None:
    vectors = points(200)
    async with store(tmp_path) as opened:
        await fill(opened, vectors)
        given = _base64(vectors[7])
        hits = (await opened.search("c", SearchRequest(vector=given, min_score=0.999))).hits
        assert [(hit.id, hit.metadata) for hit in hits] == [("7", {"n": 7})]
        await opened.upsert("c", [VectorItem(id="b", vector=given)])
        hits = (await opened.search("c", SearchRequest(vector=given, min_score=0.999))).hits
        assert {hit.id for hit in hits} == {"7", "b"}


async def test_a_graph_grows_by_what_is_new_and_forgets_what_is_dead_when_that_is_much(tmp_path: Path) -> None:
    vectors = points(1000)
    async with store(tmp_path) as opened:
        await fill(opened, vectors[:500])
        items = [VectorItem(id=str(at), vector=vectors[at].tolist()) for at in range(500, 1000)]
        await opened.delete("c", Picked(ids=["3", "4"]))
        await opened.upsert("c", items)
        await opened.upkeep.settle()
        state = (await opened.info("c")).index
        assert (state.indexed, state.recent, state.dead) == (998, 0, 2)  # the two are carried along
        await opened.delete("c", Picked(ids=[str(at) for at in range(600)]))
        await opened.upkeep.settle()
        state = (await opened.info("c")).index
        assert (state.indexed, state.recent, state.dead) == (400, 0, 0)
        hits = (await opened.search("c", SearchRequest(vector=vectors[700].tolist(), top_k=1))).hits
        assert [hit.id for hit in hits] == ["700"]


async def test_what_goes_while_a_graph_is_built_is_not_in_it_and_what_comes_is_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors, gate, loop, built_one = points(400), threading.Event(), asyncio.get_running_loop(), asyncio.Event()
    async with store(tmp_path) as opened:
        build = opened._builder._build

        def slow(plan: Plan) -> Built:
            built = build(plan)
            loop.call_soon_threadsafe(built_one.set)
            assert gate.wait(10)
            return built

        with monkeypatch.context() as patch:
            patch.setattr(opened._builder, "_build", slow)
            await opened.create(CollectionRequest(name="c", model=None, dim=DIM))
            await opened.upsert("c", [VectorItem(id=str(at), vector=one.tolist()) for at, one in enumerate(vectors)])
            await built_one.wait()
            await opened.delete("c", Picked(ids=["0", "1", "2"]))
            await opened.upsert("c", [VectorItem(id=one, vector=vectors[0].tolist()) for one in ("3", "new")])
            gate.set()
            await opened.upkeep.settle()
        state = (await opened.info("c")).index
        assert (state.kind, state.indexed, state.recent) == ("hnsw", 396, 2)
        hits = (await opened.search("c", SearchRequest(vector=vectors[0].tolist(), top_k=1000))).hits
        assert {hit.id for hit in hits} == {*(str(at) for at in range(3, 400)), "new"}
        assert {hit.id for hit in hits[:2]} == {"3", "new"}


async def test_an_emptied_collection_finds_nothing_and_is_filled_again(tmp_path: Path) -> None:
    vectors = points(300)
    async with store(tmp_path) as opened:
        await fill(opened, vectors)
        assert await opened.delete("c", Picked(filter={"n": {"$gte": 0}})) == 300
        await opened.upkeep.settle()
        assert (await opened.search("c", SearchRequest(vector=vectors[0].tolist()))).hits == []
        await fill(opened, vectors)
        assert len((await opened.search("c", SearchRequest(vector=vectors[0].tolist()))).hits) == 10


async def test_searches_see_each_write_that_returned_while_graphs_are_built(tmp_path: Path) -> None:
    vectors = points(2000)
    async with store(tmp_path) as opened:
        await opened.create(CollectionRequest(name="c", model=None, dim=DIM))
        for at in range(0, 2000, 20):
            part = vectors[at : at + 20]
            await opened.upsert("c", [VectorItem(id=str(at + n), vector=one.tolist()) for n, one in enumerate(part)])
            found = await opened.search("c", SearchRequest(vector=vectors[at].tolist(), top_k=1))
            assert [hit.id for hit in found.hits] == [str(at)]
        await opened.upkeep.settle()
        assert (await opened.info("c")).index.kind == "hnsw"


def _base64(vector: NDArray[np.float32]) -> str:
    import base64

    return base64.b64encode(vector.astype("<f4").tobytes()).decode()
