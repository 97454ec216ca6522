"""A load that runs in the box while a test does something to the services."""

import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from ocg.agent.schema import MIGRATIONS
from tests.systemd.box import Box
from tests.systemd.conftest import MODEL_PORT, TOKEN

SERVICES = ("ocg-embedding", "ocg-agent", "ocg-gateway")
SOCKETS = ("ocg-embedding.socket", "ocg-agent.socket")
# What a later build has at the end of its files: a number, a version more of the agent's database, another sample.
UPGRADED = {
    "ocg/__init__.py": '__version__ = "9.0.0"\n',
    "ocg/agent/schema.py": 'MIGRATIONS = (*MIGRATIONS, "CREATE TABLE of_the_future (id INTEGER)")\n',
    "/etc/ocg/env.config": "# A setting of the future.\n",
}
SOCKET = "/run/ocg/agent.sock"
GATEWAY = "http://127.0.0.1:55003"
CLIENTS = 50


@dataclass
class Outcome:
    """What came of a load: counts by kind, and what must not happen."""

    counts: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


@contextmanager
def load(box: Box, where: str = SOCKET) -> Iterator[Outcome]:
    """Keep 50 clients busy for as long as the block lasts; the outcome is known after it."""
    outcome = Outcome()
    box.wait_until(f"test -S {SOCKET}")
    target = (GATEWAY, str(CLIENTS), TOKEN) if where == GATEWAY else (box.seen_from_here(where), str(CLIENTS))
    process = box.beside("-m", "tests.systemd.load", *target)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line == "busy\n", line + process.stdout.read()
        yield outcome
        process.terminate()
        out, _ = process.communicate(timeout=60)
        found = json.loads(out)
        outcome.counts, outcome.faults = found["counts"], found["faults"]
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.communicate()


def entered(box: Box, *units: str) -> dict[str, str]:
    """Say when units began to run."""
    return {name: box.show(name, "ActiveEnterTimestampMonotonic")["ActiveEnterTimestampMonotonic"] for name in units}


def upgraded_under_load(box: Box, upgrade: Callable[[], object]) -> None:
    """Upgrade an installed package to what has UPGRADED, and see that nobody who talks to it meanwhile notices."""
    settings = f"OCG_UI_TOKEN={TOKEN}\nOCG_BASE_URL=http://127.0.0.1:{MODEL_PORT}/v1\nOCG_MODEL=scripted\n"
    box.run("tee", "/etc/ocg/env.config", text=f"{settings}OCG_AUTO_RECALL=no\n# mine\n")
    box.write("/etc/systemd/system/ocg-agent.service.d/mine.conf", "[Service]\nMemoryHigh=3G\n")
    box.run("systemctl", "daemon-reload")
    box.run("ocg", "restart")
    model = box.beside("-m", "tests.systemd.model", str(MODEL_PORT))
    try:
        sockets, services = entered(box, *SOCKETS), entered(box, *SERVICES)
        with load(box, GATEWAY) as by_page, load(box, SOCKET) as by_socket:
            time.sleep(1)
            upgrade()
            box.wait_until("ocg status")
            time.sleep(1)
    finally:
        model.terminate()
        model.communicate()
    for outcome in (by_page, by_socket):
        assert not outcome.faults, (outcome.counts, outcome.faults)
        assert outcome.counts["turns"] >= CLIENTS
    assert entered(box, *SOCKETS) == sockets, "sockets stay open"
    assert not set(entered(box, *SERVICES).items()) & set(services.items()), "services are new"
    assert box.run("cat", "/etc/ocg/env.config").stdout.endswith("# mine\n")
    assert box.show("ocg-agent", "MemoryHigh") == {"MemoryHigh": str(3 << 30)}
    assert "ocg 9.0.0" in box.run("ocg", "version").stdout
    asking = (
        "import sqlite3; print(*sqlite3.connect('/var/lib/ocg/agent.db').execute('PRAGMA user_version').fetchone())"
    )
    before = len(MIGRATIONS)
    assert box.run("python3.11", "-c", asking).stdout == f"{before + 1}\n"
    assert box.run("find", "/var/lib/ocg", "-name", f"agent.db.schema-{before}").stdout
