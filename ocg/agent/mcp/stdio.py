"""A server's standard input and output as the SDK's streams; the server runs in a cage."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import anyio
import mcp_types as types
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared.message import SessionMessage

from ocg.agent.confinement import Confined, Confinement
from ocg.agent.mcp.entry import Entry
from ocg.errors import Code, OcgError
from ocg.protocol import frames, wire
from ocg.protocol.tooling import SERVERS_OWN, Cage, Ended, Run

Sender = MemoryObjectSendStream[SessionMessage | Exception]
Receiver = MemoryObjectReceiveStream[SessionMessage | Exception]
Streams = tuple[Receiver, MemoryObjectSendStream[SessionMessage]]

_log = logging.getLogger(__name__)

_MAX_LINE_BYTES = 4 << 20
_GRACE_S = 0.5
_MAX_ERRORS_BYTES = 2400
_MAX_ERROR_CHARS = 300
# It begins in the workspace, wherever that is in the cage, where alone a folder of the server's may be made. At home is
# nothing that tools have put there, such as `node_modules`, for Node to run.
_SCRIPT = (
    'export HOME="$PWD/$1" XDG_CACHE_HOME="$PWD/$1/.cache"; mkdir -p "$HOME" && cd "${2:-$1}" && shift 2 && exec "$@"'
)


def request_of(name: str, entry: Entry) -> Run:
    """Return what is run: the server, with a home of its own in the workspace, so that what npx and uvx fetch stays."""
    return Run(
        argv=("/bin/sh", "-c", _SCRIPT, "sh", f"{SERVERS_OWN}/{name}", entry.cwd, entry.command, *entry.args),
        env={"UV_NO_CONFIG": "1", **entry.env},  # uvx does not do what a file in the workspace says
        is_interactive=True,
        parts_errors=True,
        shows=entry.read,
    )


class Pipes:
    """What goes both ways. `gone` hears how the server ended; the last of what it says on standard error is kept."""

    def __init__(self, name: str, confined: Confined, gone: Callable[[OcgError], None]) -> None:
        self._name = name
        self._confined = confined
        self._gone = gone
        self._last_error = ""
        self._rest = bytearray()
        self._has_garbage = False

    async def receive(self, into: Sender) -> None:
        """Pass on what it says, a message a line, until it ends."""
        async with into:
            how = "it ended"
            try:
                async for kind, data in self._confined.frames():
                    if kind == frames.OUTPUT:
                        await self._take(data, into)
                    elif kind == frames.ERRORS:
                        self._note(data)
                    elif kind == frames.RESULT:
                        how = _how(data)
            except OcgError as error:
                how = error.message
            said = f"; it said last: {self._last_error}" if self._last_error else ""
            self._gone(OcgError(Code.UNAVAILABLE, f"the MCP server {self._name}: {how}{said}"))

    async def send(self, outof: MemoryObjectReceiveStream[SessionMessage]) -> None:
        """Pass on what it is told."""
        with suppress(OcgError):  # it is gone, which `receive` says
            async with outof:
                async for one in outof:
                    line = one.message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n"
                    for at in range(0, len(line), frames.MAX_BYTES):
                        await self._confined.send(frames.INPUT, line[at : at + frames.MAX_BYTES])

    async def _take(self, data: bytes, into: Sender) -> None:
        *lines, rest = data.split(b"\n")
        for line in lines:
            self._rest += line
            message = self._message(bytes(self._rest))
            self._rest.clear()
            if message is not None:
                with suppress(anyio.BrokenResourceError):  # the session is over, and the server is about to end
                    await into.send(message)
        self._rest += rest
        if len(self._rest) > _MAX_LINE_BYTES:
            raise OcgError(Code.TOO_LARGE, f"it sent a line of more than {_MAX_LINE_BYTES >> 20} MiB")

    def _message(self, line: bytes) -> SessionMessage | None:
        if not line.strip():
            return None
        try:
            return SessionMessage(types.jsonrpc_message_adapter.validate_json(line, by_name=False))
        except ValueError:
            if not self._has_garbage:
                _log.warning("the MCP server %s writes what is no message on its standard output", self._name)
            self._has_garbage = True
            return None

    def _note(self, data: bytes) -> None:
        for line in data[-_MAX_ERRORS_BYTES:].decode("utf-8", "replace").splitlines():
            if said := line.strip()[:_MAX_ERROR_CHARS]:
                self._last_error = said
                _log.debug("the MCP server %s says: %s", self._name, said)


@asynccontextmanager
async def stdio(
    name: str, entry: Entry, confinement: Confinement, gone: Callable[[OcgError], None]
) -> AsyncIterator[Streams]:
    """Start it; leaving the block asks it to end, and has it ended."""
    into, read = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    write, outof = anyio.create_memory_object_stream[SessionMessage](0)
    async with confinement.open(Cage.EXT, request_of(name, entry)) as confined:
        pipes = Pipes(name, confined, gone)
        receiving = asyncio.ensure_future(pipes.receive(into))
        sending = asyncio.ensure_future(pipes.send(outof))
        try:
            yield read, write
        finally:
            read.close()
            write.close()
            with anyio.CancelScope(shield=True):
                await _end(confined, receiving, sending)


async def _end(confined: Confined, receiving: "asyncio.Future[None]", sending: "asyncio.Future[None]") -> None:
    await asyncio.wait({sending}, timeout=_GRACE_S)
    with suppress(OcgError, TimeoutError):
        async with asyncio.timeout(_GRACE_S):
            await confined.send(frames.INPUT_END)
    await asyncio.wait({receiving}, timeout=_GRACE_S)
    for one in (receiving, sending):
        one.cancel()
    await asyncio.wait({receiving, sending})


def _how(data: bytes) -> str:
    found = wire.decode(Ended, data)
    if found.signal is not None:
        return f"it was ended by signal {found.signal}"
    return f"it ended with status {found.status}"
