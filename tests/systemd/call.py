"""Calls of tools by hand, as the agent makes them: `python -m tests.systemd.call CAGE SCRIPT`, or `--many`."""

import asyncio
import json
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec

from ocg.agent.confinement.base import Confined
from ocg.agent.confinement.sockets import MOST, Sockets
from ocg.errors import OcgError
from ocg.protocol import frames
from ocg.protocol.tooling import Cage, Ended, Run

_LIMIT_S = 60.0


def _request(script: str) -> Run:
    return Run(argv=("sh", "-c", script), timeout_s=_LIMIT_S, is_interactive=True)


async def _ended(confined: Confined) -> tuple[str, Ended]:
    """Return what a command wrote and how it ended."""
    text, data = "", b""
    async for kind, data in confined.frames():
        text += data.decode() if kind in {frames.OUTPUT, frames.ERRORS} else ""
    return text, msgspec.json.decode(data, type=Ended)


async def _one(cage: Cage, script: str) -> None:
    async with Sockets(Path("/run/ocg")).open(cage, _request(script)) as confined:
        text, ended = await _ended(confined)
    sys.stdout.write(text)
    sys.exit(ended.status)


async def _many() -> None:
    """Have as many as are allowed wait for their input, ask for one more, then let them end."""
    sockets, refused = Sockets(Path("/run/ocg")), ""
    async with AsyncExitStack() as held:
        all_of_them = [await held.enter_async_context(sockets.open(Cage.RO, _request("cat"))) for _ in range(MOST)]
        try:
            await held.enter_async_context(sockets.open(Cage.RO, _request("true")))
        except OcgError as error:
            refused = error.code
        for one in all_of_them:
            await one.send(frames.INPUT_END)
        done = [(await _ended(one))[1].status for one in all_of_them]
    sys.stdout.write(json.dumps({"done": done, "most": MOST, "refused": refused}))


if __name__ == "__main__":
    asyncio.run(_many() if sys.argv[1] == "--many" else _one(Cage(sys.argv[1]), sys.argv[2]))
