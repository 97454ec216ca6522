"""A service's /health by a few lines of HTTP of our own: right after the start, aiohttp is not imported yet."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from ocg.errors import Code, OcgError
from ocg.protocol import messages

_MAX_BYTES = 65536
_REQUEST = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


async def health_tcp(url: str) -> messages.Health:
    """Ask the service at a base URL. Raises UNAVAILABLE, or TimeoutError where the caller bounds it."""
    parts = urlsplit(url)
    return await _ask(asyncio.open_connection(parts.hostname, parts.port))


async def health_unix(path: Path) -> messages.Health:
    """Ask the service at a Unix socket, likewise."""
    return await _ask(asyncio.open_unix_connection(path))


async def _ask(connecting: Coroutine[Any, Any, tuple[asyncio.StreamReader, asyncio.StreamWriter]]) -> messages.Health:
    try:
        reader, writer = await connecting
    except OSError as error:
        raise OcgError(Code.UNAVAILABLE, f"nobody answers: {error.strerror}", "ocg status") from None
    try:
        writer.write(_REQUEST)
        return _read(await _whole(reader))
    except (OSError, ValueError, msgspec.DecodeError) as error:
        raise OcgError(Code.UNAVAILABLE, f"what answers is no service of ours: {error}", "ocg status") from None
    finally:
        writer.close()


async def _whole(reader: asyncio.StreamReader) -> bytes:
    """Read until the peer closes, as it was asked to; what is longer is not ours."""
    answer = b""
    while len(answer) <= _MAX_BYTES and (chunk := await reader.read(_MAX_BYTES)):
        answer += chunk
    return answer


def _read(answer: bytes) -> messages.Health:
    """Read an answer whose length its end tells. Raises ValueError when it is no HTTP."""
    head, _, body = answer.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 "):
        raise ValueError("no HTTP")
    return msgspec.json.decode(body, type=messages.Health)
