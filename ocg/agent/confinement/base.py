"""What a confinement is, and the agent's end of a connection to a confined tool."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import msgspec

from ocg.errors import Code, OcgError
from ocg.protocol import frames, wire
from ocg.protocol.tooling import Cage, Failure, Request

_MAX_RESULT_BYTES = 16 << 20


class GoneError(OcgError):
    """A tool's process has ended before it had answered."""

    def __init__(
        self,
        why: str = "the tool's process ended before it had answered: it took too much memory or time, or was ended",
        hint: str = "ask for less, or see: journalctl -u 'ocg-tool-*'",
    ) -> None:
        super().__init__(Code.UNAVAILABLE, why, hint)


class Confined:
    """A tool that runs. What it does ends with the connection. `explain` says why it is gone, where that is known."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        explain: Callable[[], GoneError | None] = lambda: None,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._explain = explain

    async def begin(self, request: Request) -> None:
        """Say what is to be done."""
        data = msgspec.json.encode(request)
        for at in range(0, len(data) + 1, frames.MAX_BYTES):  # the last one is shorter than the longest
            await self.send(frames.REQUEST, data[at : at + frames.MAX_BYTES])

    async def send(self, kind: bytes, data: bytes = b"") -> None:
        """Send a frame. Raises UNAVAILABLE when the tool is gone."""
        try:
            self._writer.write(frames.frame(kind, data))
            await self._writer.drain()
        except OSError as error:
            raise GoneError from error

    async def frames(self) -> AsyncGenerator[tuple[bytes, bytes], None]:
        """Give what comes, to the result, which is the last. Raises what the tool failed with, and UNAVAILABLE."""
        while True:
            try:
                kind, size = frames.HEADER.unpack(await self._reader.readexactly(frames.HEADER.size))
                if size > frames.MAX_BYTES:
                    raise GoneError
                data = await self._reader.readexactly(size)
            except (asyncio.IncompleteReadError, OSError):
                raise self._explain() or GoneError() from None
            if kind == frames.FAILURE:
                found = wire.decode(Failure, data)
                raise OcgError(found.code, found.message, found.hint)
            yield kind, data
            if kind == frames.RESULT and size < frames.MAX_BYTES:
                return


class Confinement(Protocol):
    """Runs tools apart from the agent: by systemd's sockets, by bubblewrap, or not at all."""

    name: str

    def open(self, cage: Cage, request: Request) -> AbstractAsyncContextManager[Confined]:
        """Begin what is asked; leaving the block ends it. Raises UNAVAILABLE where nothing can be confined, or BUSY."""


async def ask(confinement: Confinement, cage: Cage, request: Request) -> str:
    """Have something done, and return what the tool says. Raises what it failed with."""
    return (await ask_bytes(confinement, cage, request)).decode("utf-8", "replace")


async def ask_bytes(confinement: Confinement, cage: Cage, request: Request) -> bytes:
    """Do the same where the result is no text."""
    parts: list[bytes] = []
    async with confinement.open(cage, request) as confined:
        async for kind, data in confined.frames():
            if kind == frames.RESULT:
                parts.append(data)
            if sum(map(len, parts)) > _MAX_RESULT_BYTES:
                raise OcgError(Code.TOO_LARGE, "the result is larger than 16 MiB", "ask for less")
    return b"".join(parts)
