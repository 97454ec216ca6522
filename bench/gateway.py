"""What the gateway adds to a model's answer: `<provider>/<model>` through ocg-gateway and ocg-agent, and through LiteLLM.

A fast model of our own (bench/gateway_model.py) is asked directly, through the two services, and through LiteLLM's
proxy, in turns (direct, ours, peer, direct, ...), by one and the same client, a process of its own
(bench/gateway_client.py). All of them check a token. What is printed are the medians over the rounds.

    .venv/bin/python -m bench.gateway                   # ours beside the model itself, in a minute
    .venv/bin/python -m bench.gateway --litellm         # beside LiteLLM too, in 3; the first time installs it
    .venv/bin/python -m bench.gateway --litellm -n 9 --seconds 5 --case "64 clients"

LiteLLM goes into a virtual environment of its own below .make/, never into OCG's. What idle WebSockets and a thousand
streams cost is measured by bench/gateway_sockets.py.
"""

import argparse
import contextlib
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bench.gateway_client import Load, Result

_TICKS = os.sysconf("SC_CLK_TCK")
_START_S = 120.0
_TOKEN = "sk-a-token-for-the-bench"
_LITELLM = "litellm[proxy]==1.108.7"
_VENV = Path(".make/bench-litellm")


@dataclass(frozen=True, slots=True)
class Case:
    """A load."""

    name: str
    clients: int
    stream: bool = False


@dataclass(frozen=True, slots=True)
class Server:
    """Where chats are answered, what the model is called there, and by which processes."""

    name: str
    port: int
    model: str
    pids: tuple[int, ...]

    @property
    def cpu_s(self) -> float:
        """What its processes have computed so far, user and system (proc_pid_stat)."""
        return sum(_cpu_s(pid) for pid in self.pids)

    @property
    def pss_mb(self) -> float:
        """Their memory (proc_pid_smaps_rollup)."""
        texts = (Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in self.pids)
        lines = (line for text in texts for line in text.splitlines() if line.startswith("Pss:"))
        return sum(int(line.split()[1]) for line in lines) / 1024


@dataclass(frozen=True, slots=True)
class Measured:
    """One round of one server."""

    result: Result
    cpu_s: float

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.result.answers / self.result.seconds

    @property
    def cpu_ms(self) -> float:
        """What the server computed for an answer."""
        return 1000 * self.cpu_s / max(self.result.answers, 1)


_CASES = (
    Case("1 client", 1),
    Case("64 clients", 64),
    Case("1 stream", 1, stream=True),
    Case("64 streams", 64, stream=True),
)


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


@contextlib.contextmanager
def _process(
    command: list[str], env: dict[str, str] | None = None, cwd: str | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(command, env=env, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.terminate()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def _model() -> Iterator[Server]:
    port = _free_port()
    with _process([sys.executable, "-m", "bench.gateway_model", str(port)]) as process:
        yield Server("direct", port, "fast", (process.pid,))


@contextlib.contextmanager
def _ours(model: Server) -> Iterator[Server]:
    """The agent and the gateway, each a process as its unit starts it."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        port = _free_port()
        env = dict(os.environ) | {
            "OCG_CONFIG": "",
            "OCG_DATA_DIR": f"{folder}/data",
            "OCG_PID_DIR": f"{folder}/pids",
            "OCG_LOG_DIR": folder,
            "OCG_WORKSPACE": f"{folder}/workspace",
            "OCG_AGENT_SOCK": f"{folder}/agent.sock",
            "OCG_PORT": str(port),
            "OCG_UI_TOKEN": _TOKEN,
            "OCG_BASE_URL": f"http://127.0.0.1:{model.port}/v1",
            "OCG_API_KEY": "sk-of-the-model",
            "OCG_MODEL": model.model,
        }
        commands = ([sys.executable, "-m", f"ocg.{name}"] for name in ("agent", "gateway"))
        pids = [stack.enter_context(_process(command, env)).pid for command in commands]
        yield Server("ours", port, f"custom/{model.model}", tuple(pids))


@contextlib.contextmanager
def _litellm(model: Server) -> Iterator[Server]:
    """LiteLLM's proxy, with one worker, as it comes."""
    with tempfile.TemporaryDirectory() as folder:
        port, config = _free_port(), Path(folder) / "config.yaml"
        config.write_text(
            f"model_list:\n  - model_name: {model.model}\n    litellm_params:\n      model: openai/{model.model}\n"
            f"      api_base: http://127.0.0.1:{model.port}/v1\n      api_key: sk-of-the-model\n"
            f"general_settings:\n  master_key: {_TOKEN}\nlitellm_settings:\n  telemetry: false\n"
        )
        where = f"--config {config} --host 127.0.0.1 --port {port} --num_workers 1"
        with _process([str((_VENV / "bin/litellm").absolute()), *where.split()], cwd=folder) as process:
            yield Server("litellm", port, model.model, (process.pid,))


def _install() -> None:
    """Install LiteLLM, once."""
    if not (_VENV / "bin/litellm").exists():
        subprocess.run([sys.executable, "-m", "venv", _VENV], check=True)
        subprocess.run([_VENV / "bin/pip", "install", "-q", _LITELLM], check=True)


def _measure(server: Server, case: Case, seconds: float) -> Measured:
    load = Load(
        host="127.0.0.1",
        port=server.port,
        token=_TOKEN,
        model=server.model,
        clients=case.clients,
        stream=case.stream,
        seconds=seconds,
    )
    before = server.cpu_s
    client = subprocess.run(
        [sys.executable, "-m", "bench.gateway_client"],
        input=msgspec.json.encode(load),
        stdout=subprocess.PIPE,
        check=True,
        timeout=60 + 10 * seconds,
    )
    return Measured(msgspec.json.decode(client.stdout, type=Result), server.cpu_s - before)


def _listens(server: Server) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", server.port)) == 0


def _warm(server: Server) -> None:
    """Wait until it listens, and have it answer: the first answers of all are slow."""
    deadline = time.monotonic() + _START_S
    while not _listens(server):
        if time.monotonic() > deadline:
            raise RuntimeError(f"{server.name} did not start")
        time.sleep(0.1)
    if _measure(server, _CASES[0], 1.0).result.failed:
        raise RuntimeError(f"{server.name} does not answer well")


def _rounds(servers: list[Server], case: Case, asked: argparse.Namespace) -> dict[str, list[Measured]]:
    """Measure in turns."""
    found: dict[str, list[Measured]] = {server.name: [] for server in servers}
    for server in servers:
        _measure(server, case, 0.5)
    for _ in range(asked.rounds):
        for server in servers:
            found[server.name].append(_measure(server, case, asked.seconds))
    return found


def _row(case: Case, server: Server, found: list[Measured]) -> None:
    rates = [one.rate for one in found]
    p50, p99, first, client = (
        statistics.median(getattr(one.result, part) for one in found)
        for part in ("p50_ms", "p99_ms", "first_ms", "cpu_s")
    )
    cpu, failed = statistics.median(one.cpu_ms for one in found), sum(one.result.failed for one in found)
    print(
        f"{case.name:<11} {server.name:<8} {statistics.median(rates):8.0f} {f'({min(rates):.0f} to {max(rates):.0f})':<16}"
        f"{p50:8.2f} {p99:8.2f} {first:9.2f} {cpu:7.2f} {client:7.2f} {server.pss_mb:7.0f} {failed:7}",
        flush=True,
    )


def _ratio(found: dict[str, list[Measured]]) -> None:
    """What each adds to the model's own time, in the same round; and ours to the peer's rate."""
    for name, rounds in found.items():
        if name == "direct":
            continue
        pairs = list(zip(rounds, found["direct"], strict=True))
        p50 = statistics.median(one.result.p50_ms - direct.result.p50_ms for one, direct in pairs)
        first = statistics.median(one.result.first_ms - direct.result.first_ms for one, direct in pairs)
        print(f"{'':<11} {name} adds: p50 {p50:.2f} ms, first byte {first:.2f} ms")
    if "litellm" in found:
        pairs = list(zip(found["ours"], found["litellm"], strict=True))
        print(f"{'':<11} ours to litellm: {statistics.median(a.rate / b.rate for a, b in pairs):.1f} x its answers/s")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", "--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of a round")
    parser.add_argument("--litellm", action="store_true", help=f"measure {_LITELLM} too, installed where it is not yet")
    parser.add_argument("--case", action="append", choices=[case.name for case in _CASES])
    return parser.parse_args()


def main() -> None:
    """Run the cases and print the table."""
    asked = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that no server is left behind
    if asked.litellm:
        _install()
    print(
        f"{asked.rounds} rounds of {asked.seconds:g} s, {os.cpu_count()} cores; peer: {_LITELLM if asked.litellm else 'not run'}"
    )
    print("goals: p50 + 2 ms with 1 client, first byte + 3 ms with 1 stream, 5 x LiteLLM's answers/s with 64 clients")
    print(
        f"{'':<20} {'answers/s':>8} {'':<15}{'p50 ms':>8} {'p99 ms':>8} {'first ms':>9} {'CPU ms':>7} {'client s':>8}",
        end="",
    )
    print(f"{'PSS MB':>7} {'failed':>7}", flush=True)
    with contextlib.ExitStack() as stack:
        model = stack.enter_context(_model())
        servers = [model, stack.enter_context(_ours(model))]
        if asked.litellm:
            servers.append(stack.enter_context(_litellm(model)))
        for server in servers:
            _warm(server)
        for case in _CASES:
            if asked.case and case.name not in asked.case:
                continue
            found = _rounds(servers, case, asked)
            for server in servers:
                _row(case, server, found[server.name])
            _ratio(found)


if __name__ == "__main__":
    main()
