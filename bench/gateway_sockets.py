"""What a crowd costs the gateway: the memory of idle WebSockets, and a thousand streams that all run at once.

Before the gateway stands nothing, behind it the tests' double of the agent, whose turns wait for each other: no stream
ends before the last has begun. Memory is the PSS of the gateway's process (proc_pid_smaps_rollup). A run is

    python -m bench.gateway_sockets
"""

import argparse
import asyncio
import json
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ocg.lifecycle.door import allow_descriptors
from tests.service.gateway import BEARER, Gateway, agent, environment, serving

_AT_ONCE = 64  # connections that are being opened; the listener's backlog is bounded
_UPGRADE = (
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True)
class Idle:
    """What so many idle WebSockets cost."""

    sockets: int
    more_mb: float
    seconds: float


@dataclass(frozen=True)
class Streamed:
    """How many streams came to their end as they should, and how long all took."""

    whole: int
    seconds: float
    more_mb: float


def pss_mb(pid: int) -> float:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")) / 1024


@contextmanager
def gateway() -> Iterator[Gateway]:
    """A gateway with its double of an agent, both warm."""
    allow_descriptors()
    with tempfile.TemporaryDirectory() as name, socket.socket() as probe:
        folder = Path(name)
        probe.bind(("127.0.0.1", 0))
        env = environment(folder, probe.getsockname()[1], OCG_LOG_LEVEL="warning")
        probe.close()
        with agent(folder, env), serving(folder, env) as found:
            assert found.ask("POST", "/v1/turns", {"message": "hello"}).status == 200
            yield found


@asynccontextmanager
async def _asked(found: Gateway, head: str, body: bytes = b"") -> AsyncIterator[_Streams]:
    reader, writer = await asyncio.open_connection("127.0.0.1", found.port)
    try:
        bearer = f"Authorization: {BEARER['Authorization']}\r\n"
        writer.write(f"{head} HTTP/1.1\r\nHost: 127.0.0.1\r\n{bearer}".encode() + body)
        yield reader, writer
    finally:
        writer.close()


async def idle(found: Gateway, number: int) -> Idle:
    """Open so many WebSockets that say nothing, and weigh them."""
    pid, gate = found.process.popen.pid, asyncio.Semaphore(_AT_ONCE)
    before, began = pss_mb(pid), time.perf_counter()
    async with AsyncExitStack() as stack:

        async def open_one() -> None:
            async with gate:
                streams = _asked(found, "GET /ws/chat", f"{_UPGRADE}\r\n".encode())
                reader, _ = await stack.enter_async_context(streams)
                head = await reader.readuntil(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 101 "), head

        await asyncio.gather(*(open_one() for _ in range(number)))
        seconds = time.perf_counter() - began
        return Idle(number, pss_mb(pid) - before, seconds)


async def streams(found: Gateway, number: int) -> Streamed:
    """Run so many streams at once."""
    pid, gate = found.process.popen.pid, asyncio.Semaphore(_AT_ONCE)
    before, began = pss_mb(pid), time.perf_counter()
    answers = await asyncio.gather(*(_stream(found, number, gate) for _ in range(number)))
    whole = sum(one.endswith(b"data: [DONE]\n\n") and b"world" in one for one in answers)
    return Streamed(whole, time.perf_counter() - began, pss_mb(pid) - before)


async def _stream(found: Gateway, number: int, gate: asyncio.Semaphore) -> bytes:
    """Ask in OpenAI's way for a turn that ends once so many run, and return its events."""
    asked = {"model": "ocg", "stream": True, "messages": [{"role": "user", "content": f"waits for {number}"}]}
    data = json.dumps(asked).encode()
    head = f"Connection: close\r\nContent-Length: {len(data)}\r\n\r\n".encode()
    async with AsyncExitStack() as stack:
        async with gate:
            reader, _ = await stack.enter_async_context(_asked(found, "POST /v1/chat/completions", head + data))
            first = await reader.readuntil(b"\r\n\r\n")
        assert first.startswith(b"HTTP/1.1 200 "), first
        body = await reader.read()
    return b"".join(part for part in body.split(b"\r\n") if part.startswith(b"data:"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sockets", type=int, default=2000)
    parser.add_argument("--streams", type=int, default=1000)
    asked = parser.parse_args()
    with gateway() as found:
        sockets = asyncio.run(idle(found, asked.sockets))
    each = sockets.more_mb * 1024 / sockets.sockets
    print(f"{sockets.sockets} idle WebSockets: {sockets.more_mb:.0f} MB more, {each:.0f} KB each (goal: 100 MB)")
    with gateway() as found:
        streamed = asyncio.run(streams(found, asked.streams))
    print(f"{streamed.whole} of {asked.streams} streams at once whole after {streamed.seconds:.1f} s (goal: all), "
          f"{streamed.more_mb:.0f} MB more")  # fmt: skip


if __name__ == "__main__":
    main()
