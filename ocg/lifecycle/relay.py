"""Answers passed on as they come, whoever gives them: status, head and bytes, at the pace of who reads them."""

import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ocg.errors import OcgError
from ocg.lifecycle.stream import first_of, gone
from ocg.protocol import sse, wire

if TYPE_CHECKING:
    import aiohttp

_log = logging.getLogger(__name__)
# Of the answer's head; the rest is between the two who speak.
_KEPT = ("Content-Type", "Content-Length", "Retry-After")


@dataclass(frozen=True, slots=True)
class Opened:
    """An answer whose head has come, and whose body comes."""

    status: int
    chunks: AsyncIterator[bytes]
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, response: "aiohttp.ClientResponse") -> "Opened":
        """Take over what may be told of an answer."""
        found = response.headers
        kept = {name: found[name] for name in _KEPT if name in found}
        # What was packed has another length, and to a stream an error may be added.
        if "Content-Encoding" in found or response.content_type == sse.CONTENT_TYPE:
            kept.pop("Content-Length", None)
        return cls(response.status, response.content.iter_any(), kept)


def error_frame(error: OcgError) -> bytes:
    """Write an error into a stream that has begun; OpenAI's clients raise it."""
    return sse.frame(wire.error_body(error))


class Relay(Response):
    """Opens an answer and passes it on for as long as the client waits for it, then closes it in every case.

    What fails before its head has come is raised. Afterwards `failed` tells it in a stream; anything else breaks off.
    """

    def __init__(
        self, opening: AbstractAsyncContextManager[Opened], failed: Callable[[OcgError], bytes] = error_frame
    ) -> None:
        self.background = None
        self._opening = opening
        self._failed = failed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        """Send what comes until it ends or nobody listens."""
        await first_of(self._pass(send), gone(receive))

    async def _pass(self, send: Send) -> None:
        is_stream: bool | None = None
        try:
            async with self._opening as opened:
                is_stream = opened.headers.get("Content-Type", "").startswith(sse.CONTENT_TYPE)
                await send(
                    {"type": "http.response.start", "status": opened.status, "headers": _head(opened, is_stream)}
                )
                async for chunk in opened.chunks:
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
        except OcgError as error:
            if is_stream is None:
                raise
            _log.info("an answer broke off: %s", error)
            if not is_stream:
                return  # whereupon uvicorn closes the connection, so that nobody takes it for whole
            await send({"type": "http.response.body", "body": self._failed(error), "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _head(opened: Opened, is_stream: bool) -> list[tuple[bytes, bytes]]:  # noqa: FBT001 - read in the line above
    # As aiohttp has decoded them, whatever bytes they were.
    head = [(name.lower().encode(), value.encode("utf-8", "surrogateescape")) for name, value in opened.headers.items()]
    # nginx would hold a stream back.
    return [*head, (b"cache-control", b"no-store"), (b"x-accel-buffering", b"no")] if is_stream else head
