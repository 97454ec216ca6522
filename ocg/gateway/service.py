"""ocg-gateway as a service: what it opens to serve, and closes after."""

import functools
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from ocg.config import TOKEN_KEY, GatewaySettings, token
from ocg.gateway.access import Access
from ocg.gateway.admission import BODIES_BYTES
from ocg.gateway.app import Parts, create_app
from ocg.gateway.certificate import Certificate, files_of
from ocg.gateway.chats.chats import Chats
from ocg.gateway.limits import Limits
from ocg.gateway.listener import check_reach, is_chosen, open_listener, where
from ocg.gateway.metrics import MetricsRoute
from ocg.gateway.page import FOLDER, Page
from ocg.gateway.reach import Reach
from ocg.gateway.shares import Shares
from ocg.gateway.tasks import Tasks
from ocg.gateway.tokens import Tokens
from ocg.gateway.upstream import Agent, Embedding, Warmth
from ocg.lifecycle.door import Door
from ocg.lifecycle.guests import Guests, Room
from ocg.lifecycle.measured import Measured
from ocg.lifecycle.notify import Notifier
from ocg.lifecycle.service import Serving
from ocg.lifecycle.worker import Worker
from ocg.telemetry import spans
from ocg.telemetry.metrics import Meter

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

# What a reload can take over.
_LIVE = frozenset({TOKEN_KEY, "OCG_ALLOWED_HOSTS", "OCG_CORS_ORIGINS", "OCG_TRUSTED_PROXIES"})
_LIVE_WITH_TLS = frozenset({"OCG_TLS_CERT", "OCG_TLS_KEY"})


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
            worker = Worker("ocg-gateway-files")
            stack.push_async_callback(worker.close)
            tokens = await stack.enter_async_context(Tokens(settings.data_dir, worker))
            await _check_reach(settings, tokens, worker)
            certificate = await _certificate(settings, worker)
            listener = await open_listener(settings, inherited, notifier)
            stack.callback(listener.close)
            warmth = Warmth(worker)
            tracer = await stack.enter_async_context(spans.tracing(settings.traces, self.name))
            meter = Meter(self.name)
            agent = await stack.enter_async_context(Agent(settings.agent_sock, warmth, tracer))
            embedding = await stack.enter_async_context(Embedding(settings.address_dir, warmth, tracer))
            room = Room.fitting(lambda host: switch.is_proxy(host))  # noqa: PLW0108 - it is made further down
            guests = Guests(room)
            parts = Parts(
                access=Access(await _token(settings, worker), tokens, started_s=time.time()),
                agent=agent,
                embedding=embedding,
                page=Page(FOLDER, worker),
                chats=Chats(agent, embedding, await stack.enter_async_context(Tasks())),
                metrics=MetricsRoute(agent, embedding, meter),
                tokens=tokens,
                limits=await Limits.load(settings.data_dir, worker),
                places=Shares(room.total),
                bodies=Shares(BODIES_BYTES),
                guests=guests,
                reach=Reach.of(settings),
            )
            warmth.begin()
            switch = _Switch(parts)

            async def apply(new: GatewaySettings) -> frozenset[str]:
                await _check_reach(replace(new, host=settings.host), tokens, worker)
                live = await _renewed(certificate, new, worker)
                switch.apply(await _token(new, worker), Reach.of(new))
                return _LIVE | live

            tls = certificate.context if certificate else None
            door = Door(listener, guests, is_tls=bool(tls))
            stack.callback(door.close)
            measured, address = Measured(switch, meter, tracer), where(door, is_tls=bool(tls))
            yield Serving(measured, [door], address, workers=(worker,), apply=apply, tls=tls)


class _Switch:
    """The application as the settings want it now: what is being answered goes on in the one it came to."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._app = create_app(parts)

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Answer by the application there is."""
        await self._app(scope, receive, send)

    def is_proxy(self, host: str) -> bool:
        """Whether an address is that of a proxy, as the settings want it now."""
        return host in self._parts.reach.proxies

    def apply(self, token: str, reach: Reach) -> None:
        """Build it anew; codes that were used stay used unless the token they hang on has changed."""
        access = self._parts.access
        if not access.is_of(token):
            access = Access(token, self._parts.tokens, started_s=time.time())
        self._parts = replace(self._parts, access=access, reach=reach)
        self._app = create_app(self._parts)


async def _token(settings: GatewaySettings, worker: Worker) -> str:
    return settings.ui_token or await worker.run(functools.partial(token.ensure, settings.data_dir))


async def _check_reach(settings: GatewaySettings, tokens: Tokens, worker: Worker) -> None:
    has_chosen = bool(tokens.items()) or await worker.run(functools.partial(is_chosen, settings))
    await check_reach(settings, has_chosen=has_chosen)


async def _certificate(settings: GatewaySettings, worker: Worker) -> Certificate | None:
    files = files_of(settings)
    return await worker.run(functools.partial(Certificate, files)) if files else None


async def _renewed(certificate: Certificate | None, new: GatewaySettings, worker: Worker) -> frozenset[str]:
    """Show the certificate that is there now; to begin with TLS, or to leave it, takes a restart."""
    files = files_of(new)
    if certificate is None or files is None:
        return frozenset()
    await worker.run(functools.partial(certificate.reload, files))
    return _LIVE_WITH_TLS
