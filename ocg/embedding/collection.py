"""The HTTP of the vector store."""

from dataclasses import dataclass

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from ocg.embedding.ndjson import Upload
from ocg.embedding.vectors import VectorStore
from ocg.errors import Code, OcgError
from ocg.lifecycle import answers
from ocg.lifecycle.endpoints import NDJSON, Endpoint
from ocg.lifecycle.stream import while_listening
from ocg.protocol.messages import Changed
from ocg.protocol.vectors import (
    CollectionInfo,
    CollectionList,
    CollectionRequest,
    CountRequest,
    GetRequest,
    ItemList,
    Key,
    Picked,
    SearchRequest,
    SearchResult,
    UpsertRequest,
    VectorItem,
)

_WRITING = (Code.DISK_FULL, Code.UNSAFE_PATH, Code.BUSY)
_EMBEDDING = (Code.CONTEXT_LENGTH, Code.BUSY)


@dataclass(frozen=True, slots=True)
class Collections:
    """The endpoints below /collections."""

    vectors: VectorStore

    def endpoints(self) -> tuple[Endpoint, ...]:
        """List them."""
        one, missing = "/collections/{name:any}", (Code.NOT_FOUND,)
        changed = (Code.NOT_FOUND, *_WRITING)
        upserted = (Code.CONFLICT, *_EMBEDDING, *_WRITING)
        return (
            Endpoint("GET", "/collections", "List the collections", self.list_collections, CollectionList),
            Endpoint(
                "POST", "/collections", "Make a collection", self.create_collection, CollectionInfo,
                takes=CollectionRequest, errors=(Code.CONFLICT, Code.MODEL_UNKNOWN, *_WRITING),
            ),
            Endpoint("GET", one, "Describe a collection", self.get_collection, CollectionInfo, errors=missing),
            Endpoint("DELETE", one, "Delete a collection", self.drop_collection, Changed, errors=changed),
            Endpoint(
                "POST", f"{one}/upsert", "Add or replace vectors", self.upsert_vectors, Changed,
                takes=UpsertRequest, lines=VectorItem, errors=upserted,
            ),
            Endpoint(
                "POST", f"{one}/get", "Read vectors", self.get_vectors, ItemList, takes=GetRequest, errors=missing
            ),
            Endpoint(
                "POST", f"{one}/delete", "Delete vectors", self.delete_vectors, Changed, takes=Picked, errors=changed
            ),
            Endpoint(
                "POST", f"{one}/search", "Find the nearest vectors", self.search_vectors, SearchResult,
                takes=SearchRequest, errors=(Code.NOT_FOUND, Code.CONFLICT, *_EMBEDDING),
            ),
            Endpoint(
                "POST", f"{one}/count", "Count vectors", self.count_vectors, Changed, takes=CountRequest, errors=missing
            ),
            Endpoint(
                "POST", f"{one}/reindex", "Embed the texts anew with the loaded model", self.reindex_collection,
                CollectionInfo, errors=(Code.CONFLICT, *changed),
            ),
        )  # fmt: skip

    async def list_collections(self, _: Request) -> Response:
        """GET /collections."""
        return answers.answer(CollectionList(collections=await self.vectors.list()))

    async def create_collection(self, request: Request) -> Response:
        """POST /collections."""
        return answers.answer(await self.vectors.create(await answers.read(request, CollectionRequest)))

    async def get_collection(self, request: Request) -> Response:
        """GET /collections/{name}."""
        return answers.answer(await self.vectors.info(_name(request)))

    async def drop_collection(self, request: Request) -> Response:
        """DELETE /collections/{name}."""
        return answers.answer(Changed(count=await self.vectors.drop(_name(request))))

    async def upsert_vectors(self, request: Request) -> Response:
        """POST /collections/{name}/upsert."""
        name = _name(request)
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() == NDJSON:
            return answers.answer(Changed(count=await Upload(self.vectors, name).take(request)))
        asked = await answers.read(request, UpsertRequest)
        return answers.answer(Changed(count=await while_listening(request, self.vectors.upsert(name, asked.items))))

    async def get_vectors(self, request: Request) -> Response:
        """POST /collections/{name}/get."""
        found = await self.vectors.get(_name(request), await answers.read(request, GetRequest))
        return answers.answer(ItemList(items=list(found)))

    async def delete_vectors(self, request: Request) -> Response:
        """POST /collections/{name}/delete."""
        asked = await answers.read(request, Picked)
        return answers.answer(Changed(count=await self.vectors.delete(_name(request), asked)))

    async def search_vectors(self, request: Request) -> Response:
        """POST /collections/{name}/search."""
        return answers.answer(await self.vectors.search(_name(request), await answers.read(request, SearchRequest)))

    async def count_vectors(self, request: Request) -> Response:
        """POST /collections/{name}/count."""
        asked = await answers.read(request, CountRequest)
        return answers.answer(Changed(count=await self.vectors.matching(_name(request), asked.filter)))

    async def reindex_collection(self, request: Request) -> Response:
        """POST /collections/{name}/reindex, without a body."""
        return answers.answer(await self.vectors.reindex(_name(request)))


def _name(request: Request) -> str:
    try:
        return msgspec.convert(request.path_params["name"], Key)
    except msgspec.ValidationError:
        raise OcgError(
            Code.INVALID_REQUEST, "a collection's name has 1 to 128 characters and no NUL", "percent-encode it",
            param="name",
        ) from None  # fmt: skip
