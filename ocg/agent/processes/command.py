"""Running a command to its end."""

import shutil
import signal
from contextlib import aclosing, suppress

import msgspec

from ocg.agent.confinement import Confinement
from ocg.agent.processes.output import MAX_BYTES, Ends
from ocg.errors import OcgError
from ocg.protocol import frames
from ocg.protocol.tooling import Cage, Ended, Run

_PIECE_BYTES = 1 << 16
# Models write for bash.
SHELL = shutil.which("bash", path="/bin:/usr/bin") or "/bin/sh"


async def run(confinement: Confinement, cage: Cage, request: Run) -> str:
    """Run a command and return what it wrote and how it ended. Raises UNAVAILABLE where nothing can be run, or BUSY."""
    output = Ends()
    try:
        said = how(await follow(confinement, cage, request, output), request.timeout_s)
    except OcgError as error:
        if not output.total:
            raise
        said = str(error)
    return joined(output.text(), said)


async def follow(confinement: Confinement, cage: Cage, request: Run, output: Ends, given: bytes = b"") -> Ended | None:
    """Run a command that is given an input, and return how it ended; None where it was ended for what it wrote."""
    async with confinement.open(cage, request) as confined, aclosing(confined.frames()) as coming:
        with suppress(OcgError):  # why it takes no more, it says itself
            for at in range(0, len(given), _PIECE_BYTES):
                await confined.send(frames.INPUT, given[at : at + _PIECE_BYTES])
            await confined.send(frames.INPUT_END)
        async for kind, data in coming:
            if kind == frames.RESULT:
                return msgspec.json.decode(data, type=Ended)
            output.add(data)
            if output.total > MAX_BYTES:
                break
    return None


def joined(text: str, how: str) -> str:
    """Put what was written before what is said of it."""
    return f"{text}{'' if not text or text.endswith(chr(10)) else chr(10)}[{how}]"


def how(ended: Ended | None, timeout_s: float) -> str:
    """Say how a command ended."""
    if ended is None:
        return f"ended, for it wrote more than {MAX_BYTES >> 20} MiB"
    if ended.why:
        return f"ended after {timeout_s:g} s: give it a longer timeout_s, or run it in the background"
    if ended.signal is None:
        return f"exit status {ended.status}"
    known = {one.value: one.name for one in signal.Signals}
    return f"ended by {known.get(ended.signal, f'signal {ended.signal}')}"
