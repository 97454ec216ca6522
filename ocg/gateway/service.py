"""ocg-gateway as a service: what it opens to serve, and closes after."""

import functools
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from ocg.config import GatewaySettings, ensure_token
from ocg.gateway.access import Access
from ocg.gateway.app import Parts, create_app
from ocg.gateway.page import FOLDER, Page
from ocg.gateway.tasks import Tasks
from ocg.gateway.upstream import Agent, Embedding, Warmth
from ocg.lifecycle import sockets
from ocg.lifecycle.notify import Notifier
from ocg.lifecycle.service import Serving
from ocg.lifecycle.worker import Worker

# A peer that takes nothing for so long is gone, or holds our memory on purpose: the kernel resets the connection.
_STUCK_PEER_MS = 30_000


class GatewayService:
    """Serves HTTP and WebSocket over TCP for everybody who has the token."""

    name = "ocg-gateway"

    def __init__(self, settings: GatewaySettings) -> None:
        self.pid_dir = settings.pid_dir
        self._settings = settings

    @asynccontextmanager
    async def open(self, notifier: Notifier, inherited: list[socket.socket]) -> AsyncIterator[Serving]:
        """Listen, find the token, and build the application. It waits for no other service."""
        notifier.status("Opening the port")
        settings = self._settings
        async with AsyncExitStack() as stack:
            listener = inherited[0] if inherited else _listen(settings)
            stack.callback(listener.close)
            worker = Worker("ocg-gateway-files")
            stack.push_async_callback(worker.close)
            token = settings.ui_token or await worker.run(functools.partial(ensure_token, settings.config_file))
            warmth = Warmth(worker)
            agent = await stack.enter_async_context(Agent(settings.agent_sock, warmth))
            embedding = await stack.enter_async_context(Embedding(settings.address_dir, warmth))
            parts = Parts(
                access=Access(token, started_s=time.time()),
                agent=agent,
                embedding=embedding,
                page=Page(FOLDER, worker),
                tasks=await stack.enter_async_context(Tasks()),
                hosts=(settings.host, *settings.allowed_hosts),
            )
            warmth.begin()
            yield Serving(create_app(parts), [listener], _where(listener))


def _listen(settings: GatewaySettings) -> socket.socket:
    listener = sockets.listen_tcp(settings.host, [settings.port], key="OCG_PORT")
    # Connections accepted inherit it (tcp(7)); it counts for a closed receive window too.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _STUCK_PEER_MS)
    return listener


def _where(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
