"""A program that stands in for the agent while tools attack it; run by tests, by hand too.

`python -m tests.attack_host SANDBOX --workspace … --data … [--sockets …] [--others FILE] [--only NAME]` has everything
that attacks aim at, runs them one after another through the product's own confinement, looks after each what has come
of it, and prints a line of JSON for each. The secret is $SECRET.
"""

import argparse
import asyncio
import contextlib
import json
import os
import secrets
import socket
import string
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from ocg.agent.confinement import Confinement
from ocg.agent.confinement.bubblewrap import Bubblewrap
from ocg.agent.confinement.programs import Programs, Unconfined
from ocg.agent.confinement.sockets import Sockets
from ocg.errors import OcgError
from ocg.protocol.tooling import Cage, Request, Run
from tests import attacks

_OWN_FILES = ("SOUL.md", "INSTRUCTIONS.md", "AGENTS.md", "USER.md")
_CALL_S = 10.0
_LIMIT_S = 90.0
_KEPT_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class World:
    """What attacks aim at, and what shows that one has hit."""

    targets: Mapping[str, str]
    workspace: Path
    victim: subprocess.Popen[bytes]

    def harm(self) -> list[str]:
        """Say what is not as it was. Who was left behind is given time to be gone."""
        found = [f"{name} was written to" for name in _OWN_FILES if (self.workspace / name).read_text() != "mine\n"]
        if Path(self.targets["DATABASE"]).read_text() != os.environ["SECRET"]:
            found.append("the database was written to")
        if any(Path(self.targets["OUTSIDE"]).iterdir()):
            found.append("there is something outside of the workspace")
        if self.victim.poll() is not None:
            found.append("the victim has ended")
        deadline = time.monotonic() + 20
        while (left := self._left()) and time.monotonic() < deadline:
            time.sleep(0.05)
        return [*found, *left]

    def _left(self) -> list[str]:
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                words = path.read_bytes()
                if self.targets["MARK"].encode() in words:
                    found.append(f"{path.parent.name} runs still: {words!r}")
        return found


@contextlib.contextmanager
def _answering(*sockets: socket.socket) -> Iterator[None]:
    """Tell the secret to everybody who connects."""
    for sock in sockets:
        sock.listen()
        threading.Thread(target=_answer, args=(sock,), daemon=True).start()
    try:
        yield
    finally:
        for sock in sockets:
            sock.shutdown(socket.SHUT_RDWR)
            sock.close()


def _answer(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            peer, _ = sock.accept()
            with peer:
                peer.sendall(os.environ["SECRET"].encode())


@contextlib.contextmanager
def _world(workspace: Path, data: Path, others: str) -> Iterator[World]:
    secret = os.environ["SECRET"]
    outside = data / "outside"
    outside.mkdir()
    for path in (data / "secret", data / "agent.db"):
        path.write_text(secret)
    for name in _OWN_FILES:
        (workspace / name).write_text("mine\n")
    path_socket, abstract, port = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX), socket.socket()
    path_socket.bind(str(data / "agent.sock"))
    abstract.bind("\0ocg-" + secrets.token_hex(8))
    port.bind(("127.0.0.1", 0))
    victim = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"], cwd=data)
    for path in (data, data / "secret"):  # what a careless library leaves open for its children
        os.set_inheritable(os.open(path, os.O_RDONLY), True)
    targets = {
        "SECRET_FILE": str(data / "secret"),
        "OTHERS_FILE": others or str(data / "secret"),
        "DATABASE": str(data / "agent.db"),
        "AGENT_SOCKET": str(data / "agent.sock"),
        "ABSTRACT": abstract.getsockname()[1:].decode(),
        "PORT": str(port.getsockname()[1]),
        "VICTIM": str(victim.pid),
        "OUTSIDE": str(outside),
        "MARK": "ocg-mark-" + secrets.token_hex(8),
    }
    try:
        with _answering(path_socket, abstract, port):
            yield World(targets, workspace, victim)
    finally:
        victim.kill()
        victim.wait()


async def _output(confinement: Confinement, cage: Cage, request: Request) -> tuple[str, str]:
    """Return what a tool said, as far as it is kept, and how it ended."""
    kept = b""
    try:
        async with asyncio.timeout(_LIMIT_S), confinement.open(cage, request) as confined:
            async for _, data in confined.frames():
                kept = (kept + data)[:_KEPT_BYTES]
    except OcgError as error:
        return kept.decode(errors="replace"), str(error)
    except TimeoutError:
        return kept.decode(errors="replace"), "it has not ended"
    return kept.decode(errors="replace"), ""


async def _attacked(confinement: Confinement, world: World, attack: attacks.Attack) -> dict[str, Any]:
    script = f"echo tried\n{attack.script}"
    request = Run(argv=("sh", "-c", script), env=dict(world.targets), timeout_s=_CALL_S)
    output, error = await _output(confinement, attack.cage, request)
    return _judged(attack.name, output, error) | {"was_tried": output.startswith("tried"), "harm": world.harm()}


async def _lied(confinement: Confinement, world: World, lie: attacks.Lie) -> dict[str, Any]:
    text = string.Template(msgspec.json.encode(lie.request).decode()).substitute(world.targets)
    output, error = await _output(confinement, lie.cage, msgspec.json.decode(text, type=Request))
    return _judged(lie.name, output, error) | {"was_tried": True, "harm": world.harm()}


def _judged(name: str, output: str, error: str) -> dict[str, Any]:
    has_won = attacks.WON in output or os.environ["SECRET"] in output or error == "it has not ended"
    return {"name": name, "has_won": has_won, "output": output[-2000:], "error": error}


async def _run(confinement: Confinement, world: World, options: argparse.Namespace) -> None:
    chosen = (*attacks.ATTACKS, *(attacks.OWN_SERVICES if options.sandbox == "systemd" else ()))
    for attack in chosen:
        if options.only in attack.name and (options.sandbox != "unconfined" or attack.works_unconfined):
            _tell(await _attacked(confinement, world, attack))
    for lie in attacks.LIES:
        if options.only in lie.name:
            _tell(await _lied(confinement, world, lie))


def _tell(result: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(result) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Run all attacks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sandbox", choices=("systemd", "bubblewrap", "unconfined"))
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True, help="a folder for what is attacked")
    parser.add_argument("--sockets", type=Path, help="where the cages' sockets are")
    parser.add_argument("--others", default="", help="a file of another user's with the secret in it")
    parser.add_argument("--only", default="", help="only attacks with this in their names")
    options = parser.parse_args()
    with _world(options.workspace, options.data, options.others) as world:
        asyncio.run(_run(_confinement(options), world, options))


def _confinement(options: argparse.Namespace) -> Confinement:
    if options.sandbox == "systemd":
        return Sockets(options.sockets)
    cage = Bubblewrap(options.workspace) if options.sandbox == "bubblewrap" else Unconfined(options.workspace)
    return Programs(options.sandbox, cage.command)


if __name__ == "__main__":
    main()
