"""aiohttp takes 0.2 s to import: too long for the start, and for the event loop."""

import asyncio
import importlib
import sys


async def load_aiohttp() -> None:
    """Import aiohttp in a thread; afterwards `import aiohttp` takes no time. Free when it is there already."""
    spec = getattr(sys.modules.get("aiohttp"), "__spec__", None)
    if spec is None or getattr(spec, "_initializing", False):
        await asyncio.to_thread(importlib.import_module, "aiohttp")
