"""The client of bench/gateway.py, in a process of its own: a load comes on standard input, what came of it goes out.

A bare protocol over asyncio, which reads no more of an answer than where it ends: it shares the cores with the servers.
"""

import asyncio
import sys
import time
from dataclasses import dataclass, field

import msgspec


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """So many clients that each ask for one chat after the other."""

    host: str
    port: int
    token: str
    model: str
    clients: int
    stream: bool
    seconds: float


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """How many answers in how long, what one took, and its first byte; `failed` were none."""

    answers: int
    failed: int
    seconds: float
    p50_ms: float
    p99_ms: float
    first_ms: float
    cpu_s: float


@dataclass(slots=True)
class _Taken:
    whole: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    failed: int = 0


class _Client(asyncio.Protocol):
    """One connection, which asks again as soon as it was answered."""

    def __init__(self, load: Load, taken: _Taken, until: float) -> None:
        self._taken = taken
        self._until = until
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        message = {"role": "user", "content": "Say hello, please, and ask how you can help."}
        body = msgspec.json.encode({"model": load.model, "stream": load.stream, "messages": [message]})
        self._request = (
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: {load.host}:{load.port}\r\n"
            f"Authorization: Bearer {load.token}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode() + body

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._ask()

    def _ask(self) -> None:
        self._data = b""
        self._has_begun = False
        self._began = time.perf_counter()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, is_whole, body = self._data.partition(b"\r\n\r\n")
        if not is_whole or not body:
            return
        if not self._has_begun:
            self._has_begun = True
            self._first = time.perf_counter() - self._began
        if self._is_over(head, body):
            self._answered(is_good=head.startswith(b"HTTP/1.1 200"))

    def _is_over(self, head: bytes, body: bytes) -> bool:
        length = head.lower().partition(b"content-length:")[2]
        return len(body) >= int(length.split(b"\r\n")[0]) if length else body.endswith(b"0\r\n\r\n")

    def _answered(self, *, is_good: bool) -> None:
        now = time.perf_counter()
        if is_good:
            self._taken.whole.append(now - self._began)
            self._taken.first.append(self._first)
        else:
            self._taken.failed += 1
        if now < self._until:
            self._ask()
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the base class's signature
        if time.perf_counter() < self._until:
            self._taken.failed += 1
        self.done.set_result(None)


async def _run(load: Load) -> Result:
    taken, began = _Taken(), time.perf_counter()
    clients = [_Client(load, taken, began + load.seconds) for _ in range(load.clients)]
    loop = asyncio.get_running_loop()
    for client in clients:
        await loop.create_connection(lambda client=client: client, load.host, load.port)  # type: ignore[misc] # mypy infers no default
    await asyncio.wait([client.done for client in clients], timeout=load.seconds + 30)
    seconds = time.perf_counter() - began
    whole, first = sorted(taken.whole) or [0.0], sorted(taken.first) or [0.0]
    return Result(
        answers=len(taken.whole),
        failed=taken.failed,
        seconds=seconds,
        p50_ms=1000 * whole[len(whole) // 2],
        p99_ms=1000 * whole[len(whole) * 99 // 100],
        first_ms=1000 * first[len(first) // 2],
        cpu_s=time.process_time(),
    )


if __name__ == "__main__":
    result = asyncio.run(_run(msgspec.json.decode(sys.stdin.buffer.read(), type=Load)))
    sys.stdout.buffer.write(msgspec.json.encode(result))
