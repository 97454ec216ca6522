"""Clients of the services, for the services and the CLI."""

import os
import stat
import uuid
from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from ocg.errors import Code, OcgError
from ocg.protocol import address, messages, sse, tokens, vectors, wire
from ocg.protocol.approvals import Approval, ApprovalAnswer, ApprovalList, DecisionList
from ocg.protocol.client import Client, ConnectionLostError
from ocg.protocol.events import LAST, TurnEvent
from ocg.protocol.hooks import HookList
from ocg.protocol.pauses import Pauses

if TYPE_CHECKING:
    import aiohttp

# A turn may think for long between two events; the agent sends a comment line each 15 s meanwhile.
_STREAM_SILENCE_S = 60.0
# A model may have to be loaded first.
_PROVIDER_TEST_S = 150.0


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
        async with self.send(method, path, data=data, silence_s=_STREAM_SILENCE_S) as response:
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
        async with self.send("POST", path, silence_s=_PROVIDER_TEST_S) as response:
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

    async def hooks(self) -> HookList:
        """List the programs that are called on events, and those that are not."""
        return await self.call("GET", "/v1/hooks", HookList)


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
