"""The vector store over HTTP against FAISS in this process: the same vectors, the same kind of index, turn about.

    .venv/bin/python bench/vectors.py [--count 1000000]

The data are clusters on a curved surface of few dimensions, as embeddings of texts are; queries are held out of them.
"""

import argparse
import base64
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from ocg.embedding.vectors import segment
from ocg.protocol import address

Matrix = NDArray[np.float32]
DIM, LATENT, CLUSTERS, TOP_K = 384, 24, 400, 10


def _surface() -> tuple[Matrix, Matrix]:
    rng = np.random.default_rng(7)
    onto = rng.standard_normal((LATENT, DIM)).astype(np.float32) / np.float32(np.sqrt(LATENT))
    return onto, rng.standard_normal((CLUSTERS, LATENT)).astype(np.float32)


def make(count: int, seed: int) -> Matrix:
    """Make vectors of length 1."""
    (onto, centres), rng = _surface(), np.random.default_rng(seed)
    made = np.empty((count, DIM), np.float32)
    for at in range(0, count, 20_000):
        size = min(20_000, count - at)
        inner = centres[rng.integers(0, CLUSTERS, size)] + 0.6 * rng.standard_normal((size, LATENT), np.float32)
        made[at : at + size] = np.tanh(inner @ onto) + 0.08 * rng.standard_normal((size, DIM), np.float32)
    faiss.normalize_L2(made)
    return made


class Client:
    """HTTP by a bare socket, so that what is measured is the service."""

    def __init__(self, where: address.Address) -> None:
        host, _, port = where.url.removeprefix("http://").rpartition(":")
        self._socket = socket.create_connection((host, int(port)))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._head = f"Host: {host}\r\nAuthorization: Bearer {where.token}\r\n"

    def ask(self, method: str, path: str, body: bytes = b"", kind: str = "application/json") -> Any:
        """Send a request and return its answer, which must be a success."""
        head = f"{method} {path} HTTP/1.1\r\n{self._head}Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        self._socket.sendall(head.encode() + body)
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._received()
        top, _, rest = data.partition(b"\r\n\r\n")
        length = next(int(line[15:]) for line in top.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        while len(rest) < length:
            rest += self._received()
        assert top.startswith(b"HTTP/1.1 200"), rest
        return json.loads(rest)

    def _received(self) -> bytes:
        data = self._socket.recv(1 << 20)
        assert data, "the service has closed the connection"
        return data

    def search(self, vector: Matrix, **more: Any) -> list[int]:
        """Search, and return the ids."""
        found = self.ask("POST", "/collections/bench/search", search_body(vector, **more))
        return [int(hit["id"]) for hit in found["hits"]]


def search_body(vector: Matrix, **more: Any) -> bytes:
    given = base64.b64encode(vector.tobytes()).decode()
    return json.dumps({"vector": given, "top_k": TOP_K} | more).encode()


@contextmanager
def _service(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], float]]:
    """Run ocg-embedding on the folder's data; also when it was started."""
    (folder / "notify").unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(folder / "notify"))
        env = dict(os.environ) | {
            "OCG_CONFIG": "",
            "OCG_DATA_DIR": str(folder / "data"),
            "OCG_PID_DIR": str(folder / "pids"),
            "NOTIFY_SOCKET": str(folder / "notify"),
        }
        began = time.perf_counter()
        with (folder / "log").open("ab") as log:
            process = subprocess.Popen([sys.executable, "-m", "ocg.embedding"], env=env, cwd=folder, stderr=log)
        try:
            while b"READY=1" not in notify.recv(4096):
                pass
            yield process, began
        finally:
            process.terminate()
            process.wait()


def _pss_mb(pid: int) -> float:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")) / 1024


def _settled(client: Client, count: int) -> None:
    """Wait until the graph has what it is going to have."""
    while True:
        state = client.ask("GET", "/collections/bench")["index"]
        fresh = count - state["indexed"]
        if state["loaded"] and not state["building"] and fresh <= max(1_000, 0.01 * state["indexed"]):
            return
        if not state["loaded"]:
            client.search(np.ones(DIM, np.float32))
        time.sleep(0.5)


def _fill(client: Client, vectors: Matrix, *, encoded: bool) -> float:
    """Upsert all as NDJSON; return vectors a second."""
    took, block = 0.0, 100_000
    for at in range(0, len(vectors), block):
        part = vectors[at : at + block]
        given = [_written(one, encoded=encoded) for one in part]
        lines = [
            json.dumps({"id": str(at + n), "vector": one, "metadata": {"rare": (at + n) % 1000, "half": (at + n) % 2}})
            for n, one in enumerate(given)
        ]
        body = "\n".join(lines).encode()
        began = time.perf_counter()
        client.ask("POST", "/collections/bench/upsert", body, "application/x-ndjson")
        took += time.perf_counter() - began
    return len(vectors) / took


def _written(vector: Matrix, *, encoded: bool) -> str | list[float]:
    return base64.b64encode(vector.tobytes()).decode() if encoded else [round(float(one), 7) for one in vector]


def _row(name: str, value: str, goal: str = "") -> None:
    print(f"{name:<44} {value:>16}  {goal}", flush=True)


def _ms(values: list[float]) -> str:
    return f"{statistics.median(values) * 1e3:.2f} / {np.percentile(values, 99) * 1e3:.2f} ms"


def _peer(vectors: Matrix) -> Any:
    """The same kind of index, by FAISS alone; its time to be built is its own business."""
    index = segment.graph(DIM, "cosine", len(vectors))
    index.add(vectors)
    index.hnsw.efSearch = segment.EF_SEARCH
    faiss.omp_set_num_threads(1)
    return index


def _measure(client: Client, peer: Any, vectors: Matrix, queries: Matrix) -> None:
    exact = faiss.IndexFlatIP(DIM)
    exact.add(vectors)
    _, truth = exact.search(queries, TOP_K)
    own: list[float] = []
    over_http: list[float] = []
    found_own, found = 0, 0
    for query, right in zip(queries, truth, strict=True):
        began = time.perf_counter()
        _, got = peer.search(query.reshape(1, -1), TOP_K) if peer else ((), ((),))
        own.append(time.perf_counter() - began)
        began = time.perf_counter()
        hits = client.search(query)
        over_http.append(time.perf_counter() - began)
        found_own += len(set(got[0]) & set(right))
        found += len(set(hits) & set(right))
    every = len(queries) * TOP_K
    _row("recall@10 of the service", f"{found / every:.4f}", "goal 0.98")
    _row("recall@10 of FAISS", f"{found_own / every:.4f}")
    _row("FAISS in-process, p50 / p99", _ms(own))
    _row("service over HTTP, p50 / p99", _ms(over_http))
    more = statistics.median(over_http) - statistics.median(own)
    _row("difference of the medians", f"{more * 1e3:.2f} ms", "goal 1.00 at 100,000")
    _filtered(client, vectors, queries[:100])


def _filtered(client: Client, vectors: Matrix, queries: Matrix) -> None:
    for name, wanted, picked in (
        ("1 of 1,000", {"rare": 7}, np.arange(7, len(vectors), 1000)),
        ("1 of 2", {"half": 1}, np.arange(1, len(vectors), 2)),
    ):
        times, found, every = [], 0, 0
        for query in queries:
            scores = vectors[picked] @ query if len(picked) < 10_000 else None
            began = time.perf_counter()
            hits = client.search(query, filter=wanted)
            times.append(time.perf_counter() - began)
            assert len(hits) == min(TOP_K, len(picked))
            if scores is not None:
                found += len(set(hits) & set(picked[np.argsort(-scores)[:TOP_K]].tolist()))
                every += min(TOP_K, len(picked))
        recall = f", recall {found / every:.3f}" if every else ""
        _row(f"with a filter that fits {name}{recall}", _ms(times))


def main() -> None:
    """Fill, search, start anew, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--alone", action="store_true", help="without FAISS's own graph, which takes long to build")
    parser.add_argument("--numbers", action="store_true", help="send vectors as JSON numbers instead of base64")
    given = parser.parse_args()
    models = Path(os.environ.get("OCG_DATA_DIR", "~/.ocg")).expanduser() / "models"
    print(f"{given.count:,} x {DIM}, {os.cpu_count()} cores, FAISS {faiss.__version__}", flush=True)
    vectors, queries = make(given.count, 1), make(given.queries, 2)
    raw_mb = vectors.nbytes / (1 << 20)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "data").mkdir()
        (folder / "data" / "models").symlink_to(models)
        with _service(folder) as (process, began):
            _row("start to READY, empty", f"{time.perf_counter() - began:.2f} s")
            client = Client(address.find(folder / "pids"))
            idle_mb = _pss_mb(process.pid)
            rate = _fill(client, vectors, encoded=not given.numbers)
            _row("durable upserts in bulk", f"{rate:,.0f} /s", "goal 5,000")
            _row("memory right after that", f"{_pss_mb(process.pid):.0f} MB")
            filled = time.perf_counter()
            _settled(client, given.count)
            _row("until the graph is built behind it", f"{time.perf_counter() - filled:.1f} s")
            _row("memory then", f"{_pss_mb(process.pid):.0f} MB")
        with _service(folder) as (process, began):
            _row("start to READY", f"{time.perf_counter() - began:.2f} s", "goal 1.00 at 100,000")
            client = Client(address.find(folder / "pids"))
            client.search(queries[0])
            _row("start to the first answer", f"{time.perf_counter() - began:.2f} s")
            _measure(client, None if given.alone else _peer(vectors), vectors, queries)
            used_mb = _pss_mb(process.pid)
            _row("memory of the service (PSS)", f"{used_mb:.0f} MB", f"{idle_mb:.0f} MB without vectors")
            _row("for vectors, as a part of the raw ones", f"{(used_mb - idle_mb) / raw_mb:.2f}", "goal 1.50")


if __name__ == "__main__":
    main()
