"""Another model: new vectors are refused with the way out, and reindexing outlives writes and stops."""

import asyncio
from pathlib import Path

import pytest

from ocg.embedding.vectors import VectorStore
from ocg.errors import Code, OcgError
from ocg.protocol.vectors import CollectionRequest, GetRequest, Picked, SearchRequest, VectorItem
from tests.vectors import SMALL, EncoderDouble, store

COUNT = 300


class Gated(EncoderDouble):
    """A model that embeds a batch of a reindexing only when it is told to."""

    def __init__(self, dim: int) -> None:
        super().__init__("second", dim)
        self.gate = asyncio.Semaphore(0)

    async def embed(self, texts):  # type: ignore[no-untyped-def]
        if len(texts) > 1:
            await self.gate.acquire()
        return await super().embed(texts)


async def _filled(folder: Path, *, silent: int = 0) -> None:
    async with store(folder) as opened:
        items = [VectorItem(id=str(at), text=f"text {at}", metadata={"n": at}) for at in range(COUNT)]
        await opened.upsert("c", items)
        await opened.upsert("c", [VectorItem(id=f"s{at}", vector=[1.0] * 16) for at in range(silent)])
        await opened.upkeep.settle()


async def _ended(opened: VectorStore) -> None:
    (task,) = opened._reindexing._tasks.values()
    await asyncio.wait_for(asyncio.shield(task), 20)
    await opened.upkeep.settle()


async def _nearest(opened: VectorStore, text: str) -> str | None:
    hits = (await opened.search("c", SearchRequest(text=text, top_k=1, min_score=0.99))).hits
    return hits[0].id if hits else None


async def test_another_models_collection_refuses_texts_and_vectors_and_names_the_way_out(tmp_path: Path) -> None:
    await _filled(tmp_path)
    async with store(tmp_path, encoder=EncoderDouble("second", 24)) as opened:
        for asked in (
            opened.upsert("c", [VectorItem(id="x", text="x")]),
            opened.upsert("c", [VectorItem(id="x", vector=[1.0] * 16)]),
            opened.search("c", SearchRequest(text="x")),
        ):
            with pytest.raises(OcgError) as caught:
                await asked
            assert caught.value.code is Code.CONFLICT
            assert "was made with first (16 dimensions), the model now is second (24)" in caught.value.message
            assert "reindex" in caught.value.hint
        assert (await opened.info("c")).count == COUNT
        assert await opened.delete("c", Picked(ids=["1"])) == 1


async def test_reindexing_embeds_all_anew_while_searches_and_writes_go_on(tmp_path: Path) -> None:
    await _filled(tmp_path)
    encoder = Gated(24)
    async with store(tmp_path, encoder=encoder) as opened:
        begun = await opened.reindex("c")
        assert (begun.model, begun.dim) == ("second", 24)
        assert begun.reindex is not None
        assert (begun.reindex.running, begun.reindex.stale, begun.reindex.done) == (True, COUNT, 0)
        encoder.gate.release()
        while (info := (await opened.info("c")).reindex) is None or not info.done:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.005)
        assert 0 < info.done < COUNT
        found = await opened.search("c", SearchRequest(text="text 0", top_k=1))
        assert (found.hits[0].id, found.complete) == ("0", False)
        assert await _nearest(opened, "text 299") is None
        await opened.upsert("c", [VectorItem(id="299", text="another"), VectorItem(id="new", text="new")][:1])
        await opened.upsert("c", [VectorItem(id="new", text="new")])
        assert await opened.delete("c", Picked(ids=["298"])) == 1
        for _ in range(10):
            encoder.gate.release()
        await _ended(opened)
        assert (await opened.search("c", SearchRequest(text="text 0"))).complete
        assert [await _nearest(opened, f"text {at}") for at in (0, 150, 297, 298, 299)] == [
            "0",
            "150",
            "297",
            None,
            None,
        ]
        assert await _nearest(opened, "another") == "299"
        assert await _nearest(opened, "new") == "new"
        info = (await opened.info("c")).reindex
        assert info is not None
        assert (info.running, info.stale, info.done) == (False, 0, COUNT)
        kept = await opened.get("c", GetRequest(filter={"n": 7}))
        assert [(one.id, one.text) for one in kept] == [("7", "text 7")]
    async with store(tmp_path, encoder=EncoderDouble("second", 24)) as opened:
        assert await _nearest(opened, "text 150") == "150"
        assert (await opened.info("c")).index.kind == "hnsw"


async def test_a_reindexing_that_was_stopped_is_taken_up_where_it_was(tmp_path: Path) -> None:
    await _filled(tmp_path)
    encoder = Gated(24)
    async with store(tmp_path, encoder=encoder) as opened:
        await opened.reindex("c")
        for _ in range(2):
            encoder.gate.release()
        while len(encoder.calls) < 2 or (await opened._database.read(_cursor)) < 128:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.005)
    again = EncoderDouble("second", 24)
    async with store(tmp_path, encoder=again) as opened:
        assert opened._warming is not None
        await opened._warming
        await _ended(opened)
        assert sum(len(texts) for texts in again.calls) == COUNT - 128
        assert [await _nearest(opened, f"text {at}") for at in (0, 150, 299)] == ["0", "150", "299"]


async def test_what_has_no_text_and_what_is_too_long_is_kept_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await _filled(tmp_path, silent=3)
    encoder = EncoderDouble("second", 24, refuses=["text 5"])
    async with store(tmp_path, SMALL, encoder) as opened:
        await opened.reindex("c")
        await _ended(opened)
        info = (await opened.info("c")).reindex
        assert info is not None
        assert (info.running, info.stale, info.without_text) == (False, 4, 3)
        assert "4 vectors are another model's still and not found, 3 of them have no text" in caplog.text
        assert "'5' keeps the vector of the old model" in caplog.text
        assert not (await opened.search("c", SearchRequest(text="text 1"))).complete
        assert len(await opened.get("c", GetRequest(ids=["s0", "s1", "s2", "5"]))) == 4
        await opened.delete("c", Picked(ids=["s0", "s1"]))
        await opened.upsert("c", [VectorItem(id="s2", text="with a text"), VectorItem(id="5", text="shorter")])
        assert (await opened.search("c", SearchRequest(text="text 1"))).complete
        encoder.calls.clear()
        await opened.reindex("c")  # there is nothing left to do
        assert encoder.calls == []


async def test_a_collection_without_a_model_has_nothing_to_embed(tmp_path: Path) -> None:
    async with store(tmp_path) as opened:
        await opened.create(CollectionRequest(name="own", model=None, dim=3))
        for asked in (
            opened.reindex("own"),
            opened.upsert("own", [VectorItem(id="a", text="a")]),
            opened.search("own", SearchRequest(text="a")),
        ):
            with pytest.raises(OcgError) as caught:
                await asked
            assert caught.value.code is Code.CONFLICT
            assert "its vectors come from the client" in caught.value.message


def _cursor(db):  # type: ignore[no-untyped-def]
    return db.execute("SELECT cursor FROM collections").fetchone()[0]
