"""The local model: ocg-embedding's own chat, found by the address it publishes."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from pathlib import Path

import msgspec

from ocg.agent.imports import load_aiohttp
from ocg.agent.providers.assembly import Assembly
from ocg.agent.providers.base import PLAIN, Model, Piece, PromptMessage, ToolSpec
from ocg.agent.providers.completions import request_body
from ocg.agent.providers.refusal import Refusal, from_service
from ocg.agent.providers.transport import Target, Transport, bearer
from ocg.errors import Code, OcgError
from ocg.protocol import address
from ocg.protocol.clients import EmbeddingClient
from ocg.protocol.replies import ReplyOptions
from ocg.protocol.tokens import MAX_TEXTS
from ocg.telemetry import spans

_log = logging.getLogger(__name__)

# On two cores a prompt of 8,192 tokens takes minutes before the first word comes, and a tool call comes as a whole.
_SILENCE_S = 600.0
_COUNT_TIMEOUT_S = 5.0
_SEEDS = 1 << 32  # llama.cpp's
_MAX_BATCH_BYTES = 4 << 20  # a character may take six in JSON


class _Item(msgspec.Struct):
    id: str
    kind: str = ""
    context: int | None = None
    tools: bool = False


class _List(msgspec.Struct):
    data: list[_Item]


class LocalProvider:
    """See Provider."""

    name = "the local model"

    def __init__(self, address_dir: Path) -> None:
        self._address_dir = address_dir
        self._embedding = EmbeddingClient(address_dir)
        self._known: tuple[address.Address, Model] | None = None
        self._transport = Transport(
            self.name,
            self._target,
            lambda: Assembly(self.name),
            self._explain,
            hint="see `ocg status`, then ocg restart",
            first_silence_s=_SILENCE_S,
            silence_s=_SILENCE_S,
        )

    @property
    def model_name(self) -> str:
        """See Provider."""
        return self._known[1].name if self._known else ""

    def _target(self) -> Target:
        found = address.find(self._address_dir)
        return Target(f"{found.url}/v1/chat/completions", bearer(found.token) | spans.headers())

    async def model(self) -> Model:
        """See Provider. ocg-embedding is asked once each time it was started: its address is then a new one."""
        where = address.find(self._address_dir)
        if self._known is None or self._known[0] != where:
            await load_aiohttp()
            found = (await self._embedding.call("GET", "/v1/models", _List)).data
            chat = next((one for one in found if one.kind == "chat"), None)
            if chat is None:
                raise OcgError(Code.MODEL_MISSING, "ocg-embedding has no chat model", "ocg models pull")
            model = Model(chat.id, chat.context or 2048, takes_tools=chat.tools, is_small=not chat.tools)
            self._known = where, model
        return self._known[1]

    async def count(self, texts: Sequence[str]) -> list[int] | None:
        """See Provider. While it cannot be asked, an estimate has to do."""
        counted: list[int] = []
        try:
            async with asyncio.timeout(_COUNT_TIMEOUT_S):
                await load_aiohttp()
                for batch in batches(texts):
                    counted += await self._embedding.count_tokens(batch)
        except (OcgError, TimeoutError) as error:
            _log.info("tokens are estimated: %s", str(error) or "ocg-embedding is slow")
            return None
        return counted if len(counted) == len(texts) else None

    async def close(self) -> None:
        """See Provider."""
        await self._transport.close()
        await self._embedding.__aexit__(None, None, None)

    async def reply(
        self,
        messages: Sequence[PromptMessage],
        tools: Sequence[ToolSpec],
        *,
        max_tokens: int,
        options: ReplyOptions = PLAIN,
    ) -> AsyncGenerator[Piece, None]:
        """See Provider."""
        if options.seed is not None:
            options = msgspec.structs.replace(options, seed=options.seed % _SEEDS)
        body = request_body(await self.model(), messages, tools, max_tokens=max_tokens, options=options)
        async with aclosing(self._transport.reply(body)) as pieces:
            async for piece in pieces:
                yield piece

    def _explain(self, status: int, retry_after: str, body: bytes) -> Refusal:
        del retry_after
        return from_service(status, body)


def batches(texts: Sequence[str]) -> Iterator[list[str]]:
    """Part texts into what one request may carry; a text without valid Unicode is written as JSON can have it."""
    batch: list[str] = []
    size = 0
    for text in texts:
        data = text.encode("utf-8", "replace")
        if batch and (len(batch) == MAX_TEXTS or size + len(data) > _MAX_BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(data.decode())
        size += len(data)
    if batch:
        yield batch
