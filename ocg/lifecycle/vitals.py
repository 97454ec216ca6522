"""What a service says of itself: its own details, and what the kernel knows of its process."""

import asyncio
import os
import time
from collections.abc import Mapping
from pathlib import Path

from ocg import __version__
from ocg.protocol.messages import Health

_STAT = Path("/proc/self/stat")
# Of proc(5)'s fields those behind the name, which is the second and may have anything in it.
_STARTED, _PAGES = 22 - 3, 24 - 3


async def health(service: str, details: Mapping[str, str | int | None]) -> Health:
    """Say how this process is."""
    text = await asyncio.to_thread(_STAT.read_text)
    fields = text.rpartition(")")[2].split()
    started_s = int(fields[_STARTED]) / os.sysconf("SC_CLK_TCK")
    return Health(
        service=service,
        version=__version__,
        details=dict(details),
        pid=os.getpid(),
        uptime_s=round(time.clock_gettime(time.CLOCK_BOOTTIME) - started_s, 1),
        memory_bytes=int(fields[_PAGES]) * os.sysconf("SC_PAGE_SIZE"),
    )
