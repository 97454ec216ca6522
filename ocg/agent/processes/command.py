"""Running a command to its end."""

import shutil
import signal
from contextlib import aclosing

import msgspec

from ocg.agent.confinement import Confinement
from ocg.agent.processes.output import MAX_BYTES, Ends
from ocg.errors import OcgError
from ocg.protocol import frames
from ocg.protocol.tooling import Cage, Ended, Run

# Models write for bash.
SHELL = shutil.which("bash", path="/bin:/usr/bin") or "/bin/sh"
TOO_MUCH = f"ended, for it wrote more than {MAX_BYTES >> 20} MiB"


async def run(confinement: Confinement, cage: Cage, request: Run) -> str:
    """Run a command and return what it wrote and how it ended. Raises UNAVAILABLE where nothing can be run, or BUSY."""
    output = Ends()
    try:
        how = await _run(confinement, cage, request, output)
    except OcgError as error:
        if not output.total:
            raise
        how = str(error)
    return joined(output.text(), how)


def joined(text: str, how: str) -> str:
    """Put what was written before what is said of it."""
    return f"{text}{'' if not text or text.endswith(chr(10)) else chr(10)}[{how}]"


def how(ended: Ended, timeout_s: float) -> str:
    """Say how a command ended."""
    if ended.why:
        return f"ended after {timeout_s:g} s: give it a longer timeout_s, or run it in the background"
    if ended.signal is None:
        return f"exit status {ended.status}"
    known = {one.value: one.name for one in signal.Signals}
    return f"ended by {known.get(ended.signal, f'signal {ended.signal}')}"


async def _run(confinement: Confinement, cage: Cage, request: Run, output: Ends) -> str:
    async with confinement.open(cage, request) as confined, aclosing(confined.frames()) as coming:
        async for kind, data in coming:
            if kind == frames.RESULT:
                return how(msgspec.json.decode(data, type=Ended), request.timeout_s)
            output.add(data)
            if output.total > MAX_BYTES:
                break
    return TOO_MUCH
