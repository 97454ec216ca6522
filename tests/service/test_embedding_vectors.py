"""Vectors and texts: SQLite is right, filters are exact, and odd values are refused instead of kept."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ocg.embedding.encoder import Encoder
from ocg.embedding.vectors import VectorStore
from ocg.embedding.vectors.index import CollectionIndex
from ocg.protocol.vectors import SearchRequest, VectorItem
from tests.conftest import MODELS
from tests.processes import running
from tests.service.embedding import MODULE, Service, environment, serving


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for the tests that do it no harm."""
    folder = tmp_path_factory.mktemp("vectors")
    with serving(folder, environment(folder)) as service:
        yield service


def _found(service: Service, collection: str = "default", **request: Any) -> set[str]:
    status, found = service.ask(f"/collections/{collection}/search", {"top_k": 100} | request)
    assert status == 200, found
    return {hit["id"] for hit in found["hits"]}


KINDS = {"true": True, "false": False, "one": 1, "float": 1.0, "zero": 0, "text": "1", "null": None, "half": 0.5}


@pytest.mark.parametrize(
    ("value", "ids"),
    [
        (True, {"true"}),
        (False, {"false"}),
        (1, {"one", "float"}),
        (0, {"zero"}),
        ("1", {"text"}),
        (None, {"null"}),
        (0.5, {"half"}),
        (2**63 - 1, set()),
    ],
)
def test_a_filter_tells_json_values_apart(shared: Service, value: Any, ids: set[str]) -> None:
    items = [{"id": name, "text": name, "metadata": {"k": value}} for name, value in KINDS.items()]
    shared.ask("/collections/kinds/upsert", {"items": [*items, {"id": "none", "text": "none"}]})
    assert _found(shared, collection="kinds", text="a", filter={"k": value}) == ids


@pytest.mark.parametrize("metadata", [{"k": 2**63}, {"k": -(2**70)}, {"k": "a\0b"}, {"a\0b": 1}])
def test_what_sqlite_cannot_compare_is_refused_and_poisons_nothing(shared: Service, metadata: dict[str, Any]) -> None:
    items = [{"id": "good", "text": "good", "metadata": {"k": 1}}]
    shared.ask("/collections/odd/upsert", {"items": items})
    upsert = {"items": [{"id": "bad", "text": "bad", "metadata": metadata}]}
    for path, body in (("upsert", upsert), ("search", {"text": "a", "filter": metadata})):
        status, found = shared.ask(f"/collections/odd/{path}", body)
        assert (status, found["error"]["code"]) == (400, "invalid_request")
    assert _found(shared, collection="odd", text="a", filter={"k": 1}) == {"good"}


def test_what_another_program_wrote_is_found_and_what_it_deleted_is_not(shared: Service) -> None:
    items = [{"id": "kept", "text": "kept"}, {"id": "gone", "text": "gone"}]
    shared.ask("/collections/file/upsert", {"items": items})
    assert _found(shared, collection="file", text="a") == {"kept", "gone"}
    with closing(sqlite3.connect(shared.data / "vectors.db", timeout=10)) as db, db:
        (number,) = db.execute("SELECT number FROM collections WHERE name = 'file'").fetchone()
        db.execute("DELETE FROM vectors WHERE collection = ? AND id = 'gone'", (number,))
        sql = "INSERT INTO vectors (collection, id, vector, metadata) SELECT collection, 'new', vector, metadata"
        db.execute(f"{sql} FROM vectors WHERE collection = ?", (number,))
    assert _found(shared, collection="file", text="a") == {"kept", "new"}


def test_writes_after_a_search_are_found_by_the_next(shared: Service) -> None:
    for name in ("first", "second", "third"):
        shared.ask("/collections/steps/upsert", {"items": [{"id": name, "text": name}]})
        assert name in _found(shared, collection="steps", text="a")
    assert shared.ask("/collections/steps/delete", {"ids": ["second"]}) == (200, {"count": 1})
    assert _found(shared, collection="steps", text="a") == {"first", "third"}


async def test_what_faiss_could_not_take_is_found_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise MemoryError("no room")

    encoder = await Encoder.load(MODELS / "minilm.gguf", threads=1)
    store = await VectorStore.open(tmp_path / "vectors.db", encoder)
    try:
        await store.upsert("c", [VectorItem(id="before", text="before")])
        assert len((await store.search("c", SearchRequest(text="a"))).hits) == 1  # the index is there from here on
        with monkeypatch.context() as patch:
            patch.setattr(CollectionIndex, "append", fail)
            assert await store.upsert("c", [VectorItem(id="while", text="while")]) == 1
        assert {hit.id for hit in (await store.search("c", SearchRequest(text="a"))).hits} == {"before", "while"}
    finally:
        await store.close()
        await encoder.close()


def test_a_text_beyond_the_bound_is_refused_before_it_is_read(shared: Service) -> None:
    status, found = shared.ask("/v1/embeddings", {"input": ["fine", " " * ((1 << 20) + 1)]})
    assert (status, found["error"]["code"]) == (400, "invalid_request")
    assert "text 1 has 1048577 characters" in found["error"]["message"]


def test_faiss_is_not_loaded_for_collections_that_are_not_there(tmp_path: Path) -> None:
    with serving(tmp_path, environment(tmp_path)) as service:
        maps = Path(f"/proc/{service.process.popen.pid}/maps")
        assert service.ask("/collections/nowhere/search", {"text": "a"})[0] == 404
        service.ask("/collections/default/upsert", {"items": [{"id": "a", "text": "a"}]})
        assert "swigfaiss" not in maps.read_text()
        assert _found(service, text="a") == {"a"}
        assert "swigfaiss" in maps.read_text()
        assert service.ask("/health")[1]["details"]["vectors"] == 1


def test_the_work_of_a_client_that_has_gone_does_not_hold_up_a_stop(tmp_path: Path) -> None:
    with serving(tmp_path, environment(tmp_path)) as service:
        with service.waiting("/v1/embeddings", {"input": ["many words " * 100] * 10_000}):
            time.sleep(0.5)
        service.ask("/embed", {"text": "the service has seen the end of the connection"})
        began = time.monotonic()
        assert service.process.stop() == 0
        assert time.monotonic() - began < 2


def test_a_chat_model_is_not_taken_for_an_embedding_model(tmp_path: Path) -> None:
    env = environment(tmp_path) | {"EMBEDDING_MODEL_PATH": str(MODELS / "smollm2-135m.gguf")}
    with running(tmp_path, MODULE, env, ready=False) as process:
        assert process.wait(30) == 78
        assert "is not an embedding model" in process.log
        assert "EMBEDDING_MODEL_PATH" in process.log
        assert "Traceback" not in process.log
