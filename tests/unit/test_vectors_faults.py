"""What is derived may be lost or damaged, what is true may meet a full disk: nothing acknowledged is lost."""

import asyncio
import json
import os
import resource
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest

from ocg.embedding.vectors import VectorStore
from ocg.embedding.vectors.schema import MIGRATIONS
from ocg.errors import Code, OcgError
from ocg.protocol.vectors import GetRequest, Picked, SearchRequest, VectorItem
from tests.vectors import SMALL, EncoderDouble, fill, points, store

VECTORS = points(600)


def _snapshot(folder: Path) -> Path:
    (found,) = (folder / "vectors").iterdir()
    return found


def _file(folder: Path, ending: str) -> Path:
    (found,) = _snapshot(folder).glob(f"*{ending}")
    return found


def _maps() -> str:
    return Path("/proc/self/maps").read_text()


async def _finds_all(opened: VectorStore, count: int = 600) -> None:
    for at in range(0, 600, 50):
        hits = (await opened.search("c", SearchRequest(vector=VECTORS[at].tolist(), top_k=1))).hits
        assert [hit.id for hit in hits] == [str(at)]
    hits = (await opened.search("c", SearchRequest(vector=VECTORS[0].tolist(), top_k=1000))).hits
    assert len(hits) == count


async def test_a_snapshot_is_loaded_mapped_and_brought_up_to_date(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with store(tmp_path) as opened:
        await fill(opened, VECTORS)
        await opened.upsert("c", [VectorItem(id="late", vector=VECTORS[3].tolist())])
        await opened.delete("c", Picked(ids=["3", "4"]))
    assert _snapshot(tmp_path).stat().st_mode & 0o777 == 0o700
    assert _file(tmp_path, ".faiss").stat().st_mode & 0o777 == 0o600
    caplog.clear()
    async with store(tmp_path) as opened:
        await _finds_all(opened, 599)
        state = (await opened.info("c")).index
        assert (state.kind, state.indexed, state.recent, state.dead) == ("hnsw", 598, 1, 2)
        hits = (await opened.search("c", SearchRequest(vector=VECTORS[3].tolist(), top_k=1))).hits
        assert [hit.id for hit in hits] == ["late"]
        assert ".index.faiss" in _maps()
    assert not caplog.records


def _cut(folder: Path) -> None:
    path = _file(folder, ".faiss")
    os.truncate(path, path.stat().st_size // 2)


def _flip(ending: str) -> Callable[[Path], None]:
    def flip(folder: Path) -> None:
        path = _file(folder, ending)
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 4
        path.write_bytes(data)

    return flip


def _manifest(**changes: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = _snapshot(folder) / "manifest.json"
        path.write_text(json.dumps(json.loads(path.read_bytes()) | changes))

    return change


def _without(ending: str) -> Callable[[Path], None]:
    return lambda folder: _file(folder, ending).unlink()


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (_cut, "bytes of"),
        (_flip(".faiss"), "index.faiss is damaged"),
        (_flip(".npy"), "rows.npy is damaged"),
        (_flip("manifest.json"), "cannot be used"),
        (_manifest(format=2), "its format is 2, not 1"),
        (_manifest(faiss="1.0.0"), "its FAISS is 1.0.0"),
        (_manifest(model="other"), "its model is other"),
        (_manifest(dim=8), "its dimension is 8"),
        (_manifest(watermark=10**9), "it knows row 1000000000"),
        (_without(".faiss"), "No such file"),
        (_without(".npy"), "No such file"),
        (_without("manifest.json"), None),
    ],
)
async def test_a_snapshot_that_cannot_be_used_is_said_and_made_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: Callable[[Path], None], says: str | None
) -> None:
    async with store(tmp_path) as opened:
        await fill(opened, VECTORS)
    damage(tmp_path)
    async with store(tmp_path) as opened:
        await _finds_all(opened)
        await opened.upkeep.settle()
        await _finds_all(opened)
        assert (await opened.info("c")).index.kind == "hnsw"
    assert (says is None) == (not caplog.records)
    assert says is None or says in caplog.text
    caplog.clear()
    async with store(tmp_path) as opened:
        await _finds_all(opened)
    assert not caplog.records


async def test_an_older_copy_of_the_database_does_not_meet_a_younger_snapshot(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with store(tmp_path) as opened:
        await fill(opened, VECTORS[:50])
    old = (tmp_path / "vectors.db").read_bytes()
    async with store(tmp_path) as opened:
        await fill(opened, VECTORS)
    (tmp_path / "vectors.db").write_bytes(old)
    async with store(tmp_path) as opened:
        # These get the row numbers that the snapshot has for others.
        items = [VectorItem(id=f"x{at}", vector=one.tolist()) for at, one in enumerate(points(300, seed=9))]
        await opened.upsert("c", items)
        hits = (await opened.search("c", SearchRequest(vector=VECTORS[7].tolist(), top_k=1000))).hits
        assert {hit.id for hit in hits} == {str(at) for at in range(50)} | {f"x{at}" for at in range(300)}
    assert "vectors.db only" in caplog.text


@contextmanager
def _no_file_above(size_bytes: int) -> Iterator[None]:
    """Have the kernel refuse to let a file grow; RLIMIT_FSIZE is for all files of this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_with_no_room_for_a_snapshot_memory_serves_and_it_is_written_later(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with store(tmp_path) as opened:
        await fill(opened, VECTORS[:90])
        await opened._database.read(lambda db: db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall())
        await opened.upsert("c", [VectorItem(id=str(at), vector=VECTORS[at].tolist()) for at in range(90, 101)])
        with _no_file_above(4096):  # the graph of 101 has 20,000 bytes
            opened._searcher.due.add(1)
            opened.upkeep.look()
            await opened.upkeep.settle()
        assert "cannot be written, it is kept in memory" in caplog.text
        assert (await opened.info("c")).index.kind == "hnsw"
        assert len((await opened.search("c", SearchRequest(vector=VECTORS[0].tolist(), top_k=1000))).hits) == 101
        while 1 in opened._searcher._unsaved:  # noqa: ASYNC110 - the next try is a timer's
            await asyncio.sleep(0.01)
        assert ".index.faiss" in _maps()
        assert len((await opened.search("c", SearchRequest(vector=VECTORS[0].tolist(), top_k=1000))).hits) == 101


async def test_a_full_disk_says_so_and_keeps_what_was_acknowledged(tmp_path: Path) -> None:
    async with store(tmp_path) as opened:
        await fill(opened, VECTORS)
        pages = "PRAGMA max_page_count"
        most = await opened._database.read(lambda db: db.execute(pages).fetchone()[0])
        await opened._database.read(lambda db: db.execute(f"{pages} = 10").fetchone())
        with pytest.raises(OcgError) as caught:
            await opened.upsert("c", [VectorItem(id=f"x{at}", vector=one.tolist()) for at, one in enumerate(VECTORS)])
        assert caught.value.code is Code.DISK_FULL
        await _finds_all(opened)
        await opened._database.read(lambda db: db.execute(f"{pages} = {most}").fetchone())
        await opened.upsert("c", [VectorItem(id="more", vector=VECTORS[0].tolist())])
        assert len(await opened.get("c", GetRequest())) == 601


async def test_a_read_only_file_says_so_and_is_searched_all_the_same(tmp_path: Path) -> None:
    async with store(tmp_path) as opened:
        await fill(opened, VECTORS)
        await opened._database.read(lambda db: db.execute("PRAGMA query_only = 1").fetchall())
        for write in (
            opened.upsert("c", [VectorItem(id="x", vector=VECTORS[0].tolist())]),
            opened.delete("c", Picked(ids=["1"])),
        ):
            with pytest.raises(OcgError) as caught:
                await write
            assert caught.value.code is Code.UNSAFE_PATH
        await _finds_all(opened)


async def test_schema_1_is_brought_forward_with_all_that_is_in_it(tmp_path: Path) -> None:
    path = tmp_path / "vectors.db"
    encoder = EncoderDouble()
    (embedded,) = await encoder.embed(["kept"])
    with closing(sqlite3.connect(path)) as db, db:
        db.executescript(MIGRATIONS[0] + ";PRAGMA user_version = 1")
        db.execute("INSERT INTO collections VALUES ('memories', 'first', 16)")
        metadata = json.dumps({"a": 1, "b": True, "c": None, "d": "x", "e": 0.5})
        for id_ in ("gone", "kept", "gone too"):
            values = (id_, embedded.vector.tobytes(), metadata)
            db.execute("INSERT INTO vectors (collection, id, vector, metadata) VALUES ('memories', ?, ?, ?)", values)
        db.execute("DELETE FROM vectors WHERE id LIKE 'gone%'")
    async with store(tmp_path, encoder=encoder) as opened:
        info = await opened.info("memories")
        assert (info.model, info.dim, info.metric, info.count) == ("first", 16, "cosine", 1)
        (item,) = await opened.get("memories", GetRequest(vectors=True))
        assert (item.id, item.metadata) == ("kept", json.loads(metadata))
        assert item.vector == pytest.approx(embedded.vector.tolist())
        for key, value in json.loads(metadata).items():
            assert await opened.matching("memories", {key: value}) == 1
        assert await opened.matching("memories", {"b": 1}) == 0
        hits = (await opened.search("memories", SearchRequest(text="kept"))).hits
        assert [(hit.id, round(hit.score, 4)) for hit in hits] == [("kept", 1.0)]
        await opened.upsert("memories", [VectorItem(id="new", text="new")])
        rows = await opened._database.read(lambda db: [row[0] for row in db.execute("SELECT row FROM vectors")])
    assert rows == [2, 4]  # 1 and 3 were given out before


async def test_a_dropped_collection_leaves_nothing_even_if_a_crash_came_between(tmp_path: Path) -> None:
    async with store(tmp_path) as opened:
        await fill(opened, VECTORS)
        await fill(opened, VECTORS, name="d")
        assert await opened.drop("c") == 600
        assert [path.name for path in (tmp_path / "vectors").iterdir()] == ["2"]
    (tmp_path / "vectors" / "1").mkdir()
    async with store(tmp_path) as opened:
        assert opened._warming is not None
        await opened._warming
        assert [path.name for path in (tmp_path / "vectors").iterdir()] == ["2"]
        with pytest.raises(OcgError) as caught:
            await opened.info("c")
        assert caught.value.code is Code.NOT_FOUND


async def test_a_stop_does_not_wait_for_a_graph(tmp_path: Path) -> None:
    many = np.concatenate([points(5000, seed=seed) for seed in range(4)])
    async with store(tmp_path) as opened:
        for at in range(0, len(many), 5000):
            items = [VectorItem(id=str(at + n), vector=one.tolist()) for n, one in enumerate(many[at : at + 5000])]
            await opened.upsert("c", items) if at else await fill_first(opened, many[:5000])
        assert opened.upkeep.building is not None
    async with store(tmp_path, SMALL) as opened:
        assert (await opened.info("c")).count == len(many)


async def fill_first(opened: VectorStore, vectors: "np.ndarray[tuple[int, ...], np.dtype[np.float32]]") -> None:
    """Fill without waiting for the graph."""
    from ocg.protocol.vectors import CollectionRequest

    await opened.create(CollectionRequest(name="c", model=None, dim=vectors.shape[1]))
    await opened.upsert("c", [VectorItem(id=str(at), vector=one.tolist()) for at, one in enumerate(vectors)])
