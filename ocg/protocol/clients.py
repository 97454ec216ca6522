"""Clients of the services, for the services and the CLI. aiohttp is slow to import, so it is imported at first use."""

import os
import stat
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import msgspec

from ocg.errors import Code, OcgError
from ocg.protocol import address, messages, sse, tokens, vectors, wire
from ocg.protocol.approvals import Approval, ApprovalAnswer, ApprovalList, DecisionList
from ocg.protocol.events import LAST, TurnEvent
from ocg.protocol.pauses import Pauses
from ocg.telemetry import spans

if TYPE_CHECKING:
    import aiohttp

T = TypeVar("T")

CONNECT_TIMEOUT_S = 5.0
ANSWER_TIMEOUT_S = 60.0
# A turn may think for long between two events; the agent sends a comment line each 15 s meanwhile.
STREAM_SILENCE_S = 60.0
# A model may have to be loaded first.
PROVIDER_TEST_S = 150.0
MAX_ANSWER_BYTES = 64 << 20


class ConnectionLostError(OcgError):
    """The service went away, or was not there; it surely heard nothing where `was_sent` is false."""

    def __init__(self, message: str, hint: str, *, was_sent: bool) -> None:
        super().__init__(Code.UNAVAILABLE, message, hint)
        self.was_sent = was_sent


@dataclass(frozen=True, slots=True)
class Raw:
    """A request that is passed on for somebody else, with headers of theirs; its answer is theirs, whatever it is."""

    headers: Mapping[str, str] = field(default_factory=dict)


class Client:
    """One connection pool to one service; `service` is its name in messages."""

    service = ""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    def _locate(self) -> address.Address:
        raise NotImplementedError

    def _connector(self) -> "aiohttp.BaseConnector | None":
        return None

    def _credentials(self, where: address.Address) -> dict[str, str]:
        return {"Authorization": f"Bearer {where.token}"} if where.token else {}

    @asynccontextmanager
    async def send(
        self,
        method: str,
        path: str,
        *,
        data: bytes | None = None,
        silence_s: float | None = None,
        raw: Raw | None = None,
    ) -> "AsyncIterator[aiohttp.ClientResponse]":
        """Send a request and give the answer with its body unread. Raises UNAVAILABLE, TIMEOUT or the service's error.

        `silence_s` makes it a stream: any length, but no pause longer than that. With `raw`, an error is an answer too.
        """
        import aiohttp  # noqa: PLC0415

        where = self._locate()
        if self._session is None:
            self._session = aiohttp.ClientSession(connector=self._connector(), auto_decompress=False)
        headers = {
            "Content-Type": wire.JSON,
            **(raw.headers if raw else {}),
            **spans.headers(),
            **self._credentials(where),
        }
        timeout = aiohttp.ClientTimeout(
            total=None if silence_s else ANSWER_TIMEOUT_S, sock_connect=CONNECT_TIMEOUT_S, sock_read=silence_s
        )
        try:
            async with self._session.request(
                method, where.url + path, data=data, headers=headers, timeout=timeout, allow_redirects=False
            ) as response:
                if response.status >= 400 and raw is None:  # noqa: PLR2004 - HTTP's classes
                    raise wire.read_error(response.status, await response.content.read(65536))
                yield response
        except TimeoutError:
            raise OcgError(
                Code.TIMEOUT, f"{self.service} did not answer in time", "see its log, or try again"
            ) from None
        except aiohttp.ClientConnectorError as error:
            raise ConnectionLostError(
                f"{self.service} cannot be reached: {error.strerror}", "ocg status", was_sent=False
            ) from None
        except aiohttp.ClientError as error:
            raise ConnectionLostError(f"{self.service} went away: {error}", "ocg status", was_sent=True) from None

    async def call(
        self, method: str, path: str, answer: type[T], body: Any = None, *, silence_s: float | None = None
    ) -> T:
        """Send a request and read its whole answer; see `send`."""
        data = None if body is None else wire.encode(body)
        async with self.send(method, path, data=data, silence_s=silence_s) as response:
            body = await self.whole(response)
        try:
            return msgspec.json.decode(body, type=answer)
        except msgspec.DecodeError as error:
            raise OcgError(
                Code.PROVIDER, f"{self.service} answered something else: {error}", "see that all versions match"
            ) from None

    async def metrics(self) -> bytes:
        """Ask for its metrics, in OpenMetrics' text format."""
        async with self.send("GET", "/metrics") as response:
            return await self.whole(response)

    async def whole(self, response: "aiohttp.ClientResponse") -> bytes:
        """Read an answer to its end. Raises PROVIDER when it is longer than 64 MiB."""
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > MAX_ANSWER_BYTES:
                raise OcgError(Code.PROVIDER, f"{self.service} answered with more than 64 MiB", "ask for less at once")
        return bytes(body)


class EmbeddingClient(Client):
    """ocg-embedding, found by the address it published in `folder`."""

    service = "ocg-embedding"

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def _locate(self) -> address.Address:
        return address.find(self._folder)

    async def health(self) -> messages.Health:
        """Ask how it is."""
        return await self.call("GET", "/health", messages.Health)

    def where(self) -> address.Address:
        """Return the address it has now, which is a new one each time it starts. Raises UNAVAILABLE."""
        return self._locate()

    async def collection(self, name: str) -> vectors.CollectionInfo | None:
        """Describe a collection; None when there is none of that name."""
        try:
            return await self.call("GET", _within(name), vectors.CollectionInfo)
        except OcgError as error:
            if error.code is not Code.NOT_FOUND:
                raise
            return None

    async def drop(self, name: str) -> None:
        """Delete a collection with all in it; one that is not there is no error."""
        try:
            await self.call("DELETE", _within(name), messages.Changed)
        except OcgError as error:
            if error.code is not Code.NOT_FOUND:
                raise

    async def get(self, ids: Sequence[str], *, collection: str) -> Sequence[vectors.Item]:
        """Read those of these that are there, without their vectors."""
        body = vectors.GetRequest(ids=list(ids), limit=max(len(ids), 1))
        return (await self.call("POST", _within(collection, "get"), vectors.ItemList, body)).items

    async def count_tokens(self, texts: Sequence[str]) -> tuple[int, ...]:
        """Count how many tokens each text takes in the chat model's own tokenizer."""
        body = tokens.TokensRequest(texts=tuple(texts))
        return (await self.call("POST", "/v1/tokens", tokens.TokensAnswer, body)).counts

    async def upsert(self, items: Sequence[vectors.VectorItem], *, collection: str) -> int:
        """Add or replace vectors; they are on disk on return."""
        body = vectors.UpsertRequest(items=list(items))
        return (await self.call("POST", _within(collection, "upsert"), messages.Changed, body)).count

    async def delete(self, ids: Sequence[str], *, collection: str) -> int:
        """Delete vectors by id; there is nothing to delete in a collection that is not there."""
        body = vectors.Picked(ids=list(ids))
        try:
            return (await self.call("POST", _within(collection, "delete"), messages.Changed, body)).count
        except OcgError as error:
            if error.code is not Code.NOT_FOUND:
                raise
            return 0

    async def search(self, text: str, *, top_k: int, collection: str) -> Sequence[vectors.Hit]:
        """Find the vectors nearest to a text; a collection that is not there has none."""
        body = vectors.SearchRequest(text=text, top_k=top_k)
        try:
            return (await self.call("POST", _within(collection, "search"), vectors.SearchResult, body)).hits
        except OcgError as error:
            if error.code is not Code.NOT_FOUND:
                raise
            return ()


def _within(collection: str, verb: str = "") -> str:
    from urllib.parse import quote  # noqa: PLC0415 - for this alone

    return f"/collections/{quote(collection, safe='')}" + (f"/{verb}" if verb else "")


class AgentClient(Client):
    """ocg-agent, on its Unix socket."""

    service = "ocg-agent"

    def __init__(self, socket: Path, *, owners: Collection[int] = ()) -> None:
        """Build one; a socket of root's, of ours, or of one of these users is trusted."""
        super().__init__()
        self._socket = socket
        self._owners = {0, os.geteuid(), *owners}

    def _locate(self) -> address.Address:
        """Check whose socket it is at each call: the path may lie in a world-writable folder."""
        try:
            status = self._socket.lstat()
            if stat.S_ISLNK(status.st_mode) and status.st_uid in self._owners:
                status = self._socket.stat()  # systemd's Symlinks=
        except OSError:
            raise ConnectionLostError(
                f"ocg-agent is not running: no socket at {self._socket}", "start it: ocg start", was_sent=False
            ) from None
        if status.st_uid not in self._owners or not stat.S_ISSOCK(status.st_mode):
            raise OcgError(
                Code.UNSAFE_PATH,
                f"{self._socket} is not a socket of ours (its owner is user {status.st_uid})",
                "set OCG_AGENT_SOCK to a path in a folder of your own",
            )
        return address.Address("http://ocg-agent")

    def _connector(self) -> "aiohttp.BaseConnector":
        import aiohttp  # noqa: PLC0415

        return aiohttp.UnixConnector(path=str(self._socket), limit=0)

    async def health(self) -> messages.Health:
        """Ask how it is."""
        return await self.call("GET", "/health", messages.Health)

    async def turn(self, request: messages.TurnRequest, *, patience_s: float = 0.0) -> AsyncGenerator[TurnEvent, None]:
        """Start a turn, or join the one with the same message id, and give its events behind `after` to the last.

        Once it was asked for, it is followed over restarts of the agent, each waited for so long; the message id makes
        it one turn, however often it is asked for.
        """
        asked = request if request.message_id else msgspec.structs.replace(request, message_id=str(uuid.uuid4()))

        def ask(after: int) -> AsyncGenerator[TurnEvent, None]:
            body = wire.encode(msgspec.structs.replace(asked, after=after))
            return self._events("POST", "/v1/turns", body)

        async with aclosing(_over_restarts(ask, asked.after, patience_s)) as events:
            async for event in events:
                yield event

    async def follow(self, turn_id: str, after: int = 0, *, patience_s: float = 0.0) -> AsyncGenerator[TurnEvent, None]:
        """Give a turn's events behind number `after` to the last, whether it runs or is over. Raises NOT_FOUND.

        Restarts of the agent are waited for as in `turn`.
        """

        def ask(after: int) -> AsyncGenerator[TurnEvent, None]:
            return self._events("GET", f"/v1/turns/{turn_id}/events?after={after}")

        async with aclosing(_over_restarts(ask, after, patience_s)) as events:
            async for event in events:
                yield event

    async def _events(self, method: str, path: str, data: bytes | None = None) -> AsyncGenerator[TurnEvent, None]:
        last = False
        async with self.send(method, path, data=data, silence_s=STREAM_SILENCE_S) as response:
            async for found in sse.data_of(response.content.iter_any()):
                event = msgspec.json.decode(found, type=TurnEvent)
                last = isinstance(event, LAST)
                yield event
        if not last:
            raise ConnectionLostError(
                "ocg-agent went away in the middle of a turn", "ask again with the same message id", was_sent=True
            )

    async def log(self, turn_id: str) -> messages.TurnLog:
        """Read all that is kept of a turn. Raises NOT_FOUND."""
        return await self.call("GET", f"/v1/turns/{turn_id}", messages.TurnLog)

    async def providers(self) -> messages.ProviderList:
        """List the providers of replies, those in use first."""
        return await self.call("GET", "/v1/providers", messages.ProviderList)

    async def use_providers(self, wish: str) -> None:
        """Have these answer from now on. Raises INVALID_REQUEST when there is no such provider."""
        await self.call("PUT", "/v1/providers/wish", messages.Changed, messages.ProviderWish(providers=wish))

    async def forget_wish(self) -> None:
        """Have the settings say again who answers, whatever `/model` chose."""
        await self.call("DELETE", "/v1/providers/wish", messages.Changed)

    async def test_provider(self, name: str, model: str = "") -> messages.ProviderTest:
        """Have a provider answer something short. Raises what it fails with."""
        from urllib.parse import quote, urlencode  # noqa: PLC0415 - for this alone

        path = f"/v1/providers/{quote(name, safe='')}/test?{urlencode({'model': model})}"
        async with self.send("POST", path, silence_s=PROVIDER_TEST_S) as response:
            return wire.decode(messages.ProviderTest, await self.whole(response))

    async def cancel(self, turn_id: str) -> None:
        """End a turn; what it said so far is kept. Raises NOT_FOUND when it is over."""
        await self.call("POST", f"/v1/turns/{turn_id}/cancel", messages.Changed)

    async def tools(self) -> messages.ToolList:
        """List the agent's tools."""
        return await self.call("GET", "/v1/tools", messages.ToolList)

    async def sessions(self) -> messages.SessionList:
        """List the conversations."""
        return await self.call("GET", "/v1/sessions", messages.SessionList)

    async def transcript(self, session_id: str) -> messages.Transcript:
        """Read one conversation."""
        return await self.call("GET", f"/v1/sessions/{session_id}", messages.Transcript)

    async def rename_session(self, session_id: str, title: str) -> messages.Session:
        """Give a conversation another title."""
        body = messages.SessionTitle(title=title)
        return await self.call("PATCH", f"/v1/sessions/{session_id}", messages.Session, body)

    async def delete_session(self, session_id: str) -> None:
        """Delete one conversation for good."""
        await self.call("DELETE", f"/v1/sessions/{session_id}", messages.Changed)

    async def remember(self, request: messages.MemoryRequest) -> messages.Memory:
        """Keep a memory; it is on disk on return."""
        return await self.call("POST", "/v1/memories", messages.Memory, request)

    async def memories(self, query: str = "", *, limit: int = 20) -> messages.MemoryList:
        """Find memories, or list the newest when the query is empty."""
        from urllib.parse import urlencode  # noqa: PLC0415

        return await self.call("GET", f"/v1/memories?{urlencode({'q': query, 'limit': limit})}", messages.MemoryList)

    async def proposed_memories(self) -> messages.MemoryList:
        """List what waits to be accepted, oldest first."""
        return await self.call("GET", "/v1/memories/proposed", messages.MemoryList)

    async def accept_memories(self, ids: Sequence[str]) -> int:
        """Turn proposals into memories, all or none. Raises NOT_FOUND."""
        body = messages.MemoryIds(ids=tuple(ids))
        return (await self.call("POST", "/v1/memories/accept", messages.Changed, body)).count

    async def export_memories(self, after: int = 0) -> messages.MemoryPage:
        """Read a page of all memories that stand in no file, in the order they came."""
        return await self.call("GET", f"/v1/memories/export?after={after}", messages.MemoryPage)

    async def import_memories(self, records: Sequence[messages.MemoryRecord]) -> messages.MemoryImported:
        """Take memories in, all or none; the same again changes nothing."""
        body = messages.MemoryImport(memories=tuple(records))
        return await self.call("POST", "/v1/memories/import", messages.MemoryImported, body)

    async def forget(self, memory_id: str) -> None:
        """Delete a memory for good."""
        await self.call("DELETE", f"/v1/memories/{memory_id}", messages.Changed)

    async def approvals(self) -> ApprovalList:
        """List the calls of tools that wait to be allowed, oldest first."""
        return await self.call("GET", "/v1/approvals", ApprovalList)

    async def approve(self, approval_id: str, answer: ApprovalAnswer) -> Approval:
        """Allow a call, or deny it. Raises NOT_FOUND, and CONFLICT when it was answered otherwise."""
        from urllib.parse import quote  # noqa: PLC0415 - for this alone

        return await self.call("POST", f"/v1/approvals/{quote(approval_id, safe='')}", Approval, answer)

    async def decisions(self, *, limit: int = 100) -> DecisionList:
        """List the latest decisions on calls of tools, the newest first."""
        return await self.call("GET", f"/v1/decisions?limit={limit}", DecisionList)


async def _over_restarts(
    ask: Callable[[int], AsyncGenerator[TurnEvent, None]], after: int, patience_s: float
) -> AsyncGenerator[TurnEvent, None]:
    """Give the events behind a number, and ask for the rest where the agent goes away in the middle."""
    pauses, was_heard = Pauses(patience_s), False
    while True:
        try:
            async with aclosing(ask(after)) as events:
                async for event in events:
                    after, pauses, was_heard = event.seq, Pauses(patience_s), True
                    yield event
        except ConnectionLostError as error:
            if not (was_heard or error.was_sent) or not await pauses.next():
                raise
        else:
            return
