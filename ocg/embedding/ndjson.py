"""NDJSON as it comes: any number of lines, each bounded, kept in batches while the next are on their way."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from starlette.requests import Request

from ocg.embedding.vectors import VectorStore
from ocg.embedding.vectors.model import Prepared
from ocg.embedding.vectors.prepare import LineError
from ocg.errors import Code, OcgError
from ocg.lifecycle import answers

# A text of 2**20 characters, each of them escaped.
MAX_LINE_BYTES = 8 << 20
# A commit waits for the disk once, for 900 vectors of 384 dimensions in base64 or 300 in numbers.
_BATCH_BYTES = 2 << 20
_DRAINED_BYTES = 16 << 20


class Upload:
    """One stream into one collection. What was read is parsed while what came before it is committed."""

    def __init__(self, vectors: VectorStore, name: str) -> None:
        self._vectors = vectors
        self._target = vectors.target(name)
        self._stored = 0
        self._line = 1
        self._writing: asyncio.Task[int] | None = None

    async def take(self, request: Request) -> int:
        """Keep all lines, and return how many. An error names its line, and says how many before it are kept."""
        chunks = _chunks(request)
        try:
            async for block in _blocks(chunks):
                await self._keep(block)
            await self._written()
        except OcgError as error:
            await self._settle()
            await _drain(chunks)
            raise OcgError(
                error.code, f"{error.message}; {self._stored} are stored", error.hint, param=error.param
            ) from None
        finally:
            await self._settle()
        return self._stored

    async def _keep(self, block: bytes) -> None:
        try:
            prepared: Sequence[Prepared] = await self._vectors.lines(self._target, block, self._line)
        except LineError as error:
            await self._write(error.before)
            await self._written()
            raise _at(error.number, error.error) from None
        self._line += block.count(b"\n")
        await self._write(prepared)

    async def _write(self, prepared: Sequence[Prepared]) -> None:
        await self._written()
        if prepared:
            self._writing = asyncio.create_task(self._vectors.put(self._target, prepared))

    async def _written(self) -> None:
        task, self._writing = self._writing, None
        if task is not None:
            self._stored += await task

    async def _settle(self) -> None:
        """Let a batch that is being written end; its own error, if it has one, is not the first."""
        task, self._writing = self._writing, None
        if task is not None:
            await asyncio.wait({task})
            if not task.cancelled() and task.exception() is None:
                self._stored += task.result()


def _at(line: int, error: OcgError) -> OcgError:
    return OcgError(error.code, f"line {line}: {error.message}", error.hint, param=f"line {line}")


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    """Give the body as it comes. Raises TIMEOUT when nothing does."""
    stream = request.stream()
    while True:
        try:
            async with asyncio.timeout(answers.BODY_TIMEOUT_S):
                chunk = await anext(stream, None)
        except TimeoutError:
            raise OcgError(Code.TIMEOUT, "no line came for a minute", "send them without such pauses") from None
        if chunk is None:
            return
        yield chunk


async def _blocks(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Give whole lines, many at a time. Raises TOO_LARGE for a line beyond its bound."""
    held = bytearray()
    async for chunk in chunks:
        held += chunk
        if len(held) < _BATCH_BYTES:
            continue
        end = held.rfind(b"\n") + 1
        if not end and len(held) > MAX_LINE_BYTES:
            raise OcgError(Code.TOO_LARGE, f"a line is longer than {MAX_LINE_BYTES >> 20} MiB", "split its text")
        if end:
            yield bytes(held[:end])
            del held[:end]
    if held:
        yield bytes(held)


async def _drain(chunks: AsyncIterator[bytes]) -> None:
    """Read some more and throw it away: a client that is still sending hears no answer."""
    size = 0
    try:
        async with asyncio.timeout(answers.BODY_TIMEOUT_S):
            async for chunk in chunks:
                size += len(chunk)
                if size > _DRAINED_BYTES:
                    return
    except (OcgError, TimeoutError):
        return
