"""ocg-gateway as a service: what it opens to serve, and closes after."""

import asyncio
import functools
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ocg.config import TOKEN_KEY, GatewaySettings, token
from ocg.errors import Code, OcgError
from ocg.gateway.access import Access
from ocg.gateway.app import Parts, create_app
from ocg.gateway.chats.chats import Chats
from ocg.gateway.limits import Limits
from ocg.gateway.metrics import MetricsRoute
from ocg.gateway.page import FOLDER, Page
from ocg.gateway.tasks import Tasks
from ocg.gateway.tokens import Tokens
from ocg.gateway.upstream import Agent, Embedding, Warmth
from ocg.lifecycle import sockets
from ocg.lifecycle.measured import Measured
from ocg.lifecycle.notify import Notifier
from ocg.lifecycle.service import Serving
from ocg.lifecycle.worker import Worker
from ocg.telemetry import spans
from ocg.telemetry.metrics import Meter

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

# A peer that takes nothing for so long is gone, or holds our memory on purpose: the kernel resets the connection.
_STUCK_PEER_MS = 30_000
_PASSING_S = 65.0  # TCP's TIME_WAIT is 60 s on Linux
_PASSING_PAUSE_S = 0.1
# The listener's name in the manager's store of descriptors.
_FDNAME = "http"
# What a reload can take over.
_LIVE = frozenset({TOKEN_KEY, "OCG_ALLOWED_HOSTS"})


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
            listener = await _kept(inherited, settings, notifier) or await _listen(settings, notifier)
            stack.callback(listener.close)
            worker = Worker("ocg-gateway-files")
            stack.push_async_callback(worker.close)
            warmth = Warmth(worker)
            tracer = await stack.enter_async_context(spans.tracing(settings.traces, self.name))
            meter = Meter(self.name)
            agent = await stack.enter_async_context(Agent(settings.agent_sock, warmth, tracer))
            embedding = await stack.enter_async_context(Embedding(settings.address_dir, warmth, tracer))
            tokens = await stack.enter_async_context(Tokens(settings.data_dir, worker))
            parts = Parts(
                access=Access(await _token(settings, worker), tokens, started_s=time.time()),
                agent=agent,
                embedding=embedding,
                page=Page(FOLDER, worker),
                chats=Chats(agent, embedding, await stack.enter_async_context(Tasks())),
                metrics=MetricsRoute(agent, embedding, meter),
                tokens=tokens,
                limits=await Limits.load(settings.data_dir, worker),
                hosts=(settings.host, *settings.allowed_hosts),
            )
            warmth.begin()
            switch = _Switch(parts)

            async def apply(new: GatewaySettings) -> frozenset[str]:
                switch.apply(await _token(new, worker), (settings.host, *new.allowed_hosts))
                return _LIVE

            measured = Measured(switch, meter, tracer)
            yield Serving(measured, [listener], _where(listener), workers=(worker,), apply=apply)


class _Switch:
    """The application as the settings want it now: what is being answered goes on in the one it came to."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._app = create_app(parts)

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Answer by the application there is."""
        await self._app(scope, receive, send)

    def apply(self, token: str, hosts: tuple[str, ...]) -> None:
        """Build it anew; codes that were used stay used unless the token they hang on has changed."""
        access = self._parts.access
        if not access.is_of(token):
            access = Access(token, self._parts.tokens, started_s=time.time())
        self._parts = replace(self._parts, access=access, hosts=hosts)
        self._app = create_app(self._parts)


async def _token(settings: GatewaySettings, worker: Worker) -> str:
    return settings.ui_token or await worker.run(functools.partial(token.ensure, settings.data_dir))


async def _kept(inherited: list[socket.socket], settings: GatewaySettings, notifier: Notifier) -> socket.socket | None:
    """Return the listener that outlived a restart, unless the settings name another place by now."""
    if not inherited:
        return None
    if inherited[0].getsockname()[:2] in await _addresses(settings):
        return inherited[0]
    notifier.forget(_FDNAME)
    for one in inherited:
        one.close()
    return None


async def _addresses(settings: GatewaySettings) -> set[Any]:
    """Look up what the settings name; nothing where the name has no address, which listening there will tell."""
    try:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)
    except OSError:
        return set()
    return {one[4][:2] for one in found}


async def _listen(settings: GatewaySettings, notifier: Notifier) -> socket.socket:
    """Listen; a port that somebody's outgoing connection has, or has had a minute ago, is waited for.

    55003 is among the ports that the kernel gives to those (net.ipv4.ip_local_port_range).
    """
    deadline = time.monotonic() + _PASSING_S
    while True:
        try:
            listener = sockets.listen_tcp(settings.host, [settings.port], key="OCG_PORT")
            break
        except OcgError as error:
            passing = error.code is Code.PORT_IN_USE and not sockets.is_served(settings.host, settings.port)
            if not passing or time.monotonic() > deadline:
                raise
            notifier.status(f"Waiting for port {settings.port}, which is an outgoing connection's for the moment")
            notifier.extend_start(_PASSING_S)
            await asyncio.sleep(_PASSING_PAUSE_S)
    # Connections accepted inherit it (tcp(7)); it counts for a closed receive window too.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _STUCK_PEER_MS)
    notifier.keep(listener, _FDNAME)
    return listener


def _where(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
