"""The vector store as a whole: what is asked in the event loop is done in the threads of its parts."""

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Self

from msgspec import UNSET

from ocg.database import Database
from ocg.embedding.metrics import Metrics
from ocg.embedding.vectors import prepare, reindex, truth
from ocg.embedding.vectors.builder import Builder
from ocg.embedding.vectors.model import Change, Collection, Embedder, Limits, Prepared
from ocg.embedding.vectors.reindex import Batch, Reindexing
from ocg.embedding.vectors.schema import MIGRATIONS
from ocg.embedding.vectors.searcher import Asked, Searcher
from ocg.embedding.vectors.snapshot import Snapshots
from ocg.embedding.vectors.upkeep import Upkeep
from ocg.errors import Code, OcgError
from ocg.lifecycle.worker import Worker
from ocg.protocol.vectors import (
    CollectionInfo,
    CollectionRequest,
    Filter,
    GetRequest,
    Item,
    Picked,
    ReindexState,
    SearchRequest,
    SearchResult,
    VectorItem,
)

_log = logging.getLogger(__name__)
_CLOSE_S = 1.0
_STANDARD = Limits()

Written = tuple[Collection, Change] | None


class VectorStore:
    """Collections of vectors. A write is on the disk when it returns; a search sees every write that returned."""

    def __init__(
        self,
        database: Database,
        encoder: Embedder,
        searcher: Searcher,
        builder: Builder,
        limits: Limits,
        metrics: Metrics,
    ) -> None:
        self._database = database
        self._encoder = encoder
        self._searcher = searcher
        self._builder = builder
        self._metrics = metrics
        self._reader = Worker("vectors-read")
        self._collections: dict[str, Collection] = {}
        # Holds commits and what follows them in the indexes together: all see one order of writes.
        self._lock = asyncio.Lock()
        self.upkeep = Upkeep(searcher, builder, self._numbered, limits)
        self._reindexing = Reindexing(encoder, database.read, self._reindexed, limits.retry_s)
        self._warming: asyncio.Task[None] | None = None

    @classmethod
    async def open(
        cls, path: Path, encoder: Embedder, limits: Limits = _STANDARD, metrics: Metrics | None = None
    ) -> Self:
        """Open or make vectors.db; what is derived from it lies in the folder `vectors` beside it."""
        database = await Database.open(path, MIGRATIONS)
        snapshots = Snapshots(path.parent / "vectors")
        known, highest = await database.read(lambda db: (truth.collections(db), truth.highest_row(db)))
        searcher, builder = Searcher(path, snapshots, limits, highest), Builder(path, snapshots)
        made = cls(database, encoder, searcher, builder, limits, metrics or Metrics())
        made._collections = {one.name: one for one in known}
        made._warming = asyncio.create_task(made._warm(snapshots))
        return made

    @property
    def workers(self) -> tuple[Worker, ...]:
        """The threads it works in."""
        return self._searcher.worker, self._database.worker, self._builder.worker, self._reader

    async def close(self) -> None:
        """Let what runs end, and close."""
        if self._warming is not None:
            self._warming.cancel()
            await asyncio.gather(self._warming, return_exceptions=True)
        await self._reindexing.close()
        await self.upkeep.close(_CLOSE_S)
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_S), self._lock:  # a commit and what follows it
                pass
        await self._searcher.close(_CLOSE_S)
        await self._reader.close(_CLOSE_S)
        try:
            async with asyncio.timeout(_CLOSE_S):
                await self._database.close()
        except TimeoutError:
            _log.warning("vectors.db is still busy; what was acknowledged is in it")

    async def count(self) -> int:
        """How many vectors there are."""
        return sum((await self._database.read(truth.counts)).values())

    async def list(self) -> list[CollectionInfo]:
        """Describe all collections."""
        counts = await self._database.read(truth.counts)
        return [await self._described(one, counts.get(one.number, 0)) for _, one in sorted(self._collections.items())]

    async def info(self, name: str) -> CollectionInfo:
        """Describe a collection. Raises NOT_FOUND."""
        collection = self._known(name)
        return await self._described(collection, await self.matching(name, {}))

    async def create(self, asked: CollectionRequest) -> CollectionInfo:
        """Make a collection. Raises CONFLICT when one of that name is another."""
        wanted = self._wanted(asked)
        async with self._lock:
            found = await self._database.write(
                lambda db: truth.create(db, wanted.name, wanted.model, wanted.dim, wanted.metric)
            )
            self._collections[found.name] = found
        if not _alike(found, wanted):
            raise OcgError(
                Code.CONFLICT,
                f"the collection {found.name!r} has the model {found.model}, {found.dim} dimensions and {found.metric}",
                "use it as it is, drop it, or choose another name",
            )
        return await self.info(found.name)

    async def drop(self, name: str) -> int:
        """Delete a collection with all its vectors, and return how many there were. Raises NOT_FOUND."""
        await self._reindexing.cancel(self._known(name).number)
        return await asyncio.shield(self._drop(name))

    async def _drop(self, name: str) -> int:
        async with self._lock:
            collection = self._known(name)
            count = await self._database.write(lambda db: truth.drop(db, collection))
            del self._collections[name]
            await self._searcher.worker.run(lambda: self._searcher.forget(collection.number))
        return count

    def target(self, name: str) -> Collection:
        """Return the collection that an upsert is for: the one of that name, or one of the loaded model yet to be made.

        Raises CONFLICT for a collection of another model.
        """
        collection = self._collections.get(name)
        if collection is None:
            return _draft(name, self._encoder.name, self._encoder.dim)
        if collection.model is not None:
            collection.check_model(self._encoder.name, self._encoder.dim)
        return collection

    async def upsert(self, name: str, items: Sequence[VectorItem]) -> int:
        """Add or replace vectors, and return how many."""
        target = self.target(name)
        prepared = await self._reader.run(lambda: [prepare.item(one, target) for one in items])
        return await self.put(target, prepared)

    async def lines(self, target: Collection, block: bytes, first: int) -> Sequence[Prepared]:
        """Prepare lines of NDJSON. Raises LineError."""
        return await self._reader.run(lambda: prepare.lines(block, first, target))

    async def put(self, target: Collection, prepared: Sequence[Prepared]) -> int:
        """Embed what is a text, and add or replace all."""
        made = await prepare.embed(prepared, self._encoder)
        items = list({one.id: one for one in made}.values())  # one id may stand there twice: the last one counts
        await asyncio.shield(self._write(lambda db: _put(db, target, items), items))
        return len(made)

    async def delete(self, name: str, asked: Picked) -> int:
        """Delete vectors by id or filter, and return how many there were. Raises NOT_FOUND."""
        collection = self._known(name)
        if asked.ids is None and not asked.filter:
            raise OcgError(Code.INVALID_REQUEST, "a delete takes ids or a filter", "to delete all, drop the collection")
        change = await asyncio.shield(
            self._write(lambda db: (collection, truth.delete(db, collection, asked.ids, asked.filter)), ())
        )
        return len(change.removed)

    async def get(self, name: str, asked: GetRequest) -> "Sequence[Item]":
        """Read what is kept. Raises NOT_FOUND."""
        collection = self._known(name)
        return await self._database.read(lambda db: truth.get(db, collection, asked))

    async def matching(self, name: str, wanted: Filter) -> int:
        """Count the vectors that a filter lets through. Raises NOT_FOUND."""
        collection = self._known(name)
        return await self._database.read(lambda db: truth.count(db, collection, wanted))

    async def search(self, name: str, asked: SearchRequest) -> SearchResult:
        """Return the nearest vectors. A filter loses none. Raises NOT_FOUND, CONFLICT for a text of another model's."""
        collection = self._known(name)
        if (asked.text is None) == (asked.vector is None):
            raise OcgError(Code.INVALID_REQUEST, "a search takes a text or a vector", "give one of the two")
        if asked.text is not None:
            collection.check_model(self._encoder.name, self._encoder.dim)
            vector = (await self._encoder.embed([asked.text]))[0].vector
        else:
            vector = prepare.vector(asked.vector or "", collection.dim, collection.metric)
        query = Asked(vector, asked.top_k, asked.filter, asked.min_score)
        with self._metrics.search():
            found = await self._searcher.worker.run(lambda: self._searcher.search(collection, query))
            if found is None:  # it met a write: behind the lock there is none
                async with self._lock:
                    found = await self._searcher.worker.run(lambda: self._searcher.search(collection, query))
        self.upkeep.look()
        return found or SearchResult(hits=[])

    async def reindex(self, name: str) -> CollectionInfo:
        """Begin to embed a collection's texts anew with the loaded model, or go on. Raises NOT_FOUND, CONFLICT."""
        collection = self._known(name)
        if collection.model is None:
            collection.check_model("", 0)
        async with self._lock:
            made = await self._database.write(lambda db: reindex.begin(db, self._now(db, name), self._encoder))
            old, self._collections[name] = collection, made
            if made.shape != old.shape:
                await self._searcher.worker.run(lambda: self._searcher.forget(made.number))
        if made.reindexing:
            self._reindexing.start(made)
        return await self.info(name)

    async def _warm(self, snapshots: Snapshots) -> None:
        """Load what is there, so that the first search is fast, and take up what a stop interrupted."""
        numbers = set(self._numbered())
        await self._searcher.worker.run(lambda: snapshots.keep_only(numbers))
        for one in list(self._collections.values()):
            if one.reindexing and (one.model, one.dim) == (self._encoder.name, self._encoder.dim):
                self._reindexing.start(one)
        for one in list(self._collections.values()):
            try:
                await self._searcher.worker.run(lambda one=one: self._searcher.index(one))  # type: ignore[misc]
            except OcgError as error:
                _log.warning("%r cannot be searched: %s", one.name, error)
            self.upkeep.wrote()

    async def _write(self, job: Callable[[sqlite3.Connection], Written], items: Sequence[Prepared]) -> Change:
        """Commit, and let the index follow before anyone hears of it."""
        async with self._lock:
            self._searcher.announce()
            try:
                written = await self._database.write(job)
            except BaseException:
                self._searcher.skip()
                raise
            if written is None:
                self._searcher.skip()
                return Change([], [])
            collection, change = written
            self._collections[collection.name] = collection
            await self._searcher.worker.run(lambda: self._searcher.apply(collection, change, items))
        self.upkeep.wrote()
        return change

    async def _reindexed(self, collection: Collection, batch: Batch | None) -> Collection | None:
        current: Collection | None = None

        def job(db: sqlite3.Connection) -> Written:
            nonlocal current
            written = reindex.write(db, collection, batch)
            current = written[0] if written else None
            return written

        await asyncio.shield(self._write(job, batch.items if batch else ()))
        return current

    async def _described(self, collection: Collection, count: int) -> CollectionInfo:
        state = None
        if collection.since:
            stale, silent = await self._database.read(lambda db: truth.stale(db, collection))
            done = max(0, collection.total - stale)
            state = ReindexState(running=collection.reindexing, done=done, stale=stale, without_text=silent)
        return CollectionInfo(
            name=collection.name,
            model=collection.model,
            dim=collection.dim,
            metric=collection.metric,
            count=count,
            created_at=collection.created_at,
            index=self._searcher.state(collection, building=self.upkeep.building == collection.number),
            reindex=state,
        )

    def _known(self, name: str) -> Collection:
        try:
            return self._collections[name]
        except KeyError:
            raise OcgError(Code.NOT_FOUND, f"no collection {name!r}", "list them with GET /collections") from None

    def _now(self, db: sqlite3.Connection, name: str) -> Collection:
        return truth.find(db, name) or self._known(name)

    def _numbered(self) -> dict[int, Collection]:
        return {one.number: one for one in self._collections.values()}

    def _wanted(self, asked: CollectionRequest) -> Collection:
        """Say what a request means. Raises MODEL_UNKNOWN, INVALID_REQUEST."""
        loaded, dim = self._encoder.name, self._encoder.dim
        if asked.model is None:
            if asked.dim is None:
                raise OcgError(Code.INVALID_REQUEST, "without a model a collection needs its `dim`", param="dim")
            return replace(_draft(asked.name, None, asked.dim), metric=asked.metric)
        if asked.model not in {UNSET, loaded}:
            raise OcgError(
                Code.MODEL_UNKNOWN, f"no embedding model {asked.model!r} is loaded", f"{loaded!r} is", param="model"
            )
        if asked.dim not in {None, dim}:
            hint = "leave `dim` out, or set `model` to null to bring vectors of your own"
            raise OcgError(Code.INVALID_REQUEST, f"{loaded} makes {dim} dimensions, not {asked.dim}", hint, param="dim")
        return replace(_draft(asked.name, loaded, dim), metric=asked.metric)


def _draft(name: str, model: str | None, dim: int) -> Collection:
    return Collection(0, name, model, dim, "cosine", 0.0, since=0, reindexing=False, cursor=0, total=0)


def _alike(one: Collection, other: Collection) -> bool:
    return (one.model, one.dim, one.metric) == (other.model, other.dim, other.metric)


def _put(db: sqlite3.Connection, target: Collection, items: Sequence[Prepared]) -> tuple[Collection, Change]:
    """Write to a collection that is still what the items were prepared for."""
    found = truth.find(db, target.name)
    if found is None and not target.number:
        found = truth.create(db, target.name, target.model, target.dim, target.metric)
    if found is None or target.number not in {0, found.number} or not _alike(found, target):
        raise OcgError(Code.CONFLICT, f"the collection {target.name!r} was changed meanwhile", "try again")
    return found, truth.upsert(db, found, items)
