"""The client of bench/embedding.py, in a process of its own: a load comes on standard input, what came of it goes out.

Plain HTTP/1.1 on kept connections over asyncio's streams, for every cycle of its own is one that the server lacks.
"""

import asyncio
import itertools
import random
import sys
import time
from collections.abc import Iterator

import msgspec

_WORDS = (
    "time year people way day man thing woman life child world school state family student group country problem hand "
    "part place case week company system program question work government number night point home water room mother "
    "area money story fact month lot right study book eye job word business issue side kind head house service friend "
    "father power hour game line end member law car city community name president team minute idea body information "
    "back parent face others level office door health person art war history party result change morning reason "
    "research girl guy moment air teacher force education river stone garden winter summer bread glass train letter "
    "market island forest mountain doctor engine window paper green small early quiet open strong simple happy"
)
WORDS = _WORDS.split()
_KNOWN_TEXTS = 500


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """So many clients that each send one request after the other, with so many texts of so many words."""

    host: str
    port: int
    token: str
    clients: int
    words: int
    texts: int
    repeats: bool
    seconds: float
    seed: str
    encoding: str


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """How many texts in how long, and what a request took."""

    texts: int
    seconds: float
    p50_ms: float
    p99_ms: float
    cpu_s: float


class _Input(msgspec.Struct, frozen=True):
    input: list[str]
    encoding_format: str


def _texts(load: Load) -> Iterator[str]:
    """Texts that are all different (120^12 are possible), or the same 500 over and over."""
    chance = random.Random(load.seed)
    made = (" ".join(chance.choices(WORDS, k=load.words)) for _ in itertools.count())
    return itertools.cycle([*itertools.islice(made, _KNOWN_TEXTS)]) if load.repeats else made


class _Client:
    """One connection, opened again where the server closes it."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._head = (
            f"POST /v1/embeddings HTTP/1.1\r\nHost: {load.host}:{load.port}\r\n"
            f"Authorization: Bearer {load.token}\r\nContent-Type: application/json\r\nContent-Length: "
        )

    async def ask(self, texts: list[str]) -> None:
        """Send a request and read its answer, which must be a good one."""
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._load.host, self._load.port, limit=1 << 24)
        reader, writer = self._streams
        body = msgspec.json.encode(_Input(texts, self._load.encoding))
        writer.write(f"{self._head}{len(body)}\r\n\r\n".encode() + body)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        answer = await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))
        if b" 200 " not in head[:16] or answer.count(b'"embedding":') != len(texts):
            raise ValueError(f"a bad answer: {head!r} {answer[:200]!r}")
        if b"connection: close" in head:
            self.close()

    def close(self) -> None:
        """Close the connection."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def _client(load: Load, texts: Iterator[str], until: float, took: list[float]) -> None:
    client = _Client(load)
    while (began := time.perf_counter()) < until:
        await client.ask([*itertools.islice(texts, load.texts)])
        took.append(time.perf_counter() - began)
    client.close()


async def _run(load: Load) -> Result:
    texts = _texts(load)
    if load.repeats:  # the server has seen them all before the clock starts
        client = _Client(load)
        for _ in range(_KNOWN_TEXTS // 50):
            await client.ask([*itertools.islice(texts, 50)])
        client.close()
    took: list[float] = []
    began, cpu = time.perf_counter(), time.process_time()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(load.clients):
            tasks.create_task(_client(load, texts, began + load.seconds, took))
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    took.sort()
    p50, p99 = (took[int(len(took) * part)] * 1000 for part in (0.5, 0.99))
    return Result(texts=len(took) * load.texts, seconds=seconds, p50_ms=p50, p99_ms=p99, cpu_s=cpu)


def main() -> None:
    """Run one load."""
    load = msgspec.json.decode(sys.stdin.buffer.read(), type=Load)
    sys.stdout.buffer.write(msgspec.json.encode(asyncio.run(_run(load))))


if __name__ == "__main__":
    main()
