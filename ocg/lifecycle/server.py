"""uvicorn inside a service: it owns no signals and no start-up of its own, and stops without waiting for its tick."""

import asyncio
import contextlib
import logging
import socket
import ssl
from asyncio import sslproto
from collections.abc import Iterator
from typing import TYPE_CHECKING

import uvicorn

from ocg.errors import Code, OcgError
from ocg.lifecycle.answers import error_response
from ocg.lifecycle.connection import Connection, Socket

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_TICK_S = 1.0
_DRAIN_POLL_S = 0.01
_ACCEPT_STEPS = 5
_KEEP_ALIVE_S = 75
# asyncio's own is 256 KiB: 1 GiB for a house that is full.
_TLS_BUFFER_BYTES = 32 << 10


class Server(uvicorn.Server):
    """Serves an application on listening sockets until `finish()` or `drop()`."""

    def __init__(self, app: "ASGIApp", tls: ssl.SSLContext | None = None) -> None:
        if tls:
            # Each connection has one, before anybody has said who he is. A record is 16 KiB (RFC 8446).
            sslproto.SSLProtocol.max_size = _TLS_BUFFER_BYTES
        super().__init__(
            uvicorn.Config(
                _answer_when_dropped(app),
                lifespan="off",
                log_config=None,
                access_log=False,
                http=Connection,
                ws=Socket,
                ws_max_size=1 << 20,
                ws_per_message_deflate=False,
                timeout_keep_alive=_KEEP_ALIVE_S,
                server_header=False,
                proxy_headers=False,
                ssl_context_factory=(lambda *_: tls) if tls else None,
            )
        )
        self.listening = asyncio.Event()
        self._finish = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the ladder: beside it, uvicorn's own handlers would run ours twice."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept, and say so."""
        await super().startup(sockets)
        self.listening.set()

    async def main_loop(self) -> None:
        """Keep the Date header right until the end; uvicorn's own loop wakes ten times a second for this."""
        while not self._finish.is_set():
            await self.on_tick(0)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._finish.wait(), _TICK_S)

    def finish(self) -> None:
        """Stop accepting; what runs may end."""
        self.should_exit = True
        self._finish.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the listeners and idle connections, then wait for what runs; uvicorn's own sleeps 0.1 s first."""
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        for _ in range(_ACCEPT_STEPS):  # what asyncio has accepted is on its way to us
            await asyncio.sleep(0)
        for connection in list(self.server_state.connections):
            connection.shutdown()
        # uvicorn has no event for the last of them.
        while (self.server_state.connections or self.server_state.tasks) and not self.force_exit:  # noqa: ASYNC110 - as above
            await asyncio.sleep(_DRAIN_POLL_S)

    async def drop(self) -> None:
        """End what still runs, by cancelling it."""
        self.finish()
        self.force_exit = True
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # or each cancelled request is a traceback
        tasks = list(self.server_state.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _answer_when_dropped(app: "ASGIApp") -> "ASGIApp":
    """Say 503 to who is dropped before an answer began: uvicorn would call it 500, which nobody asks again after."""

    async def answer(scope: "Scope", receive: "Receive", send: "Send") -> None:
        has_begun = False

        async def watch(message: "Message") -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await app(scope, receive, watch)
        except asyncio.CancelledError:
            if has_begun or scope["type"] != "http":
                raise
            error = OcgError(Code.UNAVAILABLE, "the service is stopping", "ask again in a moment")
            await error_response(error)(scope, receive, send)

    return answer
