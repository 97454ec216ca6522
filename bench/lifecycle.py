"""How long the life of the three takes, and what they weigh when idle.

Times the commands as a user types them: `ocg start` with warm files until it returns with all three healthy, `ocg
status`, `ocg stop` when idle, and the idle memory (PSS, proc_pid_smaps_rollup) of each service. Prints medians of N
rounds with the least and the most.
"""

import argparse
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

OCG = Path(sys.executable).with_name("ocg")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _environment() -> Iterator[dict[str, str]]:
    """An installation of its own, with the user's models."""
    models = Path(os.environ.get("OCG_DATA_DIR", "~/.ocg")).expanduser() / "models"
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        data.mkdir()
        (data / "models").symlink_to(models)
        yield dict(os.environ) | {
            "OCG_CONFIG": "",
            "OCG_DATA_DIR": str(data),
            "OCG_PID_DIR": f"{folder}/pids",
            "OCG_LOG_DIR": folder,
            "OCG_AGENT_SOCK": f"{folder}/agent.sock",
            "OCG_PORT": str(_free_port()),
        }


def _timed(env: dict[str, str], *command: str) -> float:
    began = time.perf_counter()
    subprocess.run([OCG, *command], env=env, cwd=env["OCG_LOG_DIR"], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def _pss_mb(pid: int) -> float:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")) / 1024


def _row(name: str, values: list[float], unit: str, goal: float) -> None:
    middle = statistics.median(values)
    print(f"{name:<28} {middle:8.3f} {unit:<2} (min {min(values):.3f}, max {max(values):.3f}; goal {goal:g})")


def main() -> None:
    """Run the rounds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", "--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    times: dict[str, list[float]] = {"start": [], "status": [], "stop": []}
    memory: dict[str, list[float]] = {}
    with _environment() as env:
        _timed(env, "start")
        _timed(env, "stop")
        for _ in range(rounds):
            times["start"].append(_timed(env, "start"))
            times["status"].append(_timed(env, "status"))
            status = subprocess.run(
                [OCG, "status", "--json"], env=env, cwd=env["OCG_LOG_DIR"], check=True, capture_output=True
            )
            for service, found in json.loads(status.stdout)["services"].items():
                memory.setdefault(service, []).append(_pss_mb(found["pid"]))
            times["stop"].append(_timed(env, "stop"))
    print(f"{rounds} rounds, {os.cpu_count()} cores, Python {sys.version.split()[0]}")
    for name, goal in (("start", 1.5), ("status", 0.1), ("stop", 0.3)):
        _row(f"ocg {name}", times[name], "s", goal)
    for service, goal in (("ocg-embedding", 140.0), ("ocg-agent", 60.0), ("ocg-gateway", 60.0)):
        _row(f"{service} idle, PSS", memory[service], "MB", goal)


if __name__ == "__main__":
    main()
