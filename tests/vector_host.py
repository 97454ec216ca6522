"""A process that hosts a vector store and changes it without end, for tests that kill it."""

import random
from pathlib import Path
from typing import Any

import faiss  # noqa: F401 - imported before the fork
import numpy as np

from ocg.embedding.vectors import VectorStore, truth
from ocg.embedding.vectors.model import Limits
from ocg.protocol.vectors import CollectionRequest, Filter, GetRequest, Picked, SearchRequest, VectorItem
from tests.forking import fork_for_each_line, say

DIM = 8
IDS = 1200
NAME = "数"
LIMITS = Limits(flat_max=150, share=0.1, quiet_s=0.01, quiet_max=40, retry_s=0.2)


class NoEncoder:
    """No texts come here."""

    name = "none"
    dim = DIM

    async def embed(self, texts: Any) -> Any:
        raise AssertionError(texts)


def vector_of(id_: str, version: int) -> list[float]:
    """The vector that an id has in a version."""
    made: list[float] = np.random.default_rng([int(id_), version]).standard_normal(DIM).tolist()
    return made


async def _compare(store: VectorStore) -> None:
    """Fail unless what is searched is just what is kept."""
    collection = store._known(NAME)
    searched = await store._searcher.worker.run(lambda: store._searcher.index(collection).alive_rows().tolist())
    kept = await store._database.read(lambda db: truth.live_rows(db, collection).tolist())
    assert searched == kept, set(searched) ^ set(kept)


async def _check(store: VectorStore, rng: random.Random) -> None:
    """Say what is kept, and fail when the index has anything else."""
    items = await store.get(NAME, GetRequest(limit=10_000))
    found = {one.id: one.metadata["version"] for one in items}
    await _compare(store)
    for id_ in rng.sample(sorted(found), min(10, len(found))):
        hits = (await store.search(NAME, SearchRequest(vector=vector_of(id_, int(found[id_] or 0)), top_k=1))).hits
        assert [one.id for one in hits] == [id_], hits
        wanted: Filter = {"version": found[id_], "id": {"$in": [id_]}}
        hits = (await store.search(NAME, SearchRequest(vector=[1.0] * DIM, filter=wanted))).hits
        assert [one.id for one in hits] == [id_], hits
    state = store._searcher.state(store._known(NAME), building=False)
    say(found=found, state=str(state))


async def _change(store: VectorStore, rng: random.Random, version: int) -> None:
    ids = [str(rng.randrange(IDS)) for _ in range(rng.randrange(1, 40))]
    if rng.random() < 0.6:
        say(put=ids, version=version)
        items = [
            VectorItem(id=one, vector=vector_of(one, version), metadata={"version": version, "id": one}) for one in ids
        ]
        await store.upsert(NAME, items)
    else:
        say(deleted=ids)
        await store.delete(NAME, Picked(ids=ids))
    say(done=True)


async def _live(path: Path, seed: int) -> None:
    rng = random.Random(seed)
    store = await VectorStore.open(path, NoEncoder(), LIMITS)
    await store.create(CollectionRequest(name=NAME, model=None, dim=DIM))
    await _check(store, rng)
    for count in range(1_000_000):
        await _change(store, rng, seed * 1_000_000 + count)
        if count % 4 == 3:  # graphs have come meanwhile, too
            await _compare(store)


if __name__ == "__main__":
    fork_for_each_line(_live)
