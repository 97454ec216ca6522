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
from ocg.gateway.page import FOLDER, Page
from ocg.gateway.tasks import Tasks
from ocg.gateway.upstream import Agent, Embedding, Warmth
from ocg.lifecycle import sockets
from ocg.lifecycle.notify import Notifier
from ocg.lifecycle.service import Serving
from ocg.lifecycle.worker import Worker

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

# What a reload can take over.
_LIVE = frozenset({TOKEN_KEY, "OCG_ALLOWED_HOSTS", "OCG_CORS_ORIGINS", "OCG_TRUSTED_PROXIES"})
_LIVE_WITH_TLS = _LIVE | {"OCG_TLS_CERT", "OCG_TLS_KEY"}


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
            agent = await stack.enter_async_context(Agent(settings.agent_sock, warmth))
            embedding = await stack.enter_async_context(Embedding(settings.address_dir, warmth))
            parts = Parts(
                access=Access(await _token(settings, worker), started_s=time.time()),
                agent=agent,
                embedding=embedding,
                page=Page(FOLDER, worker),
                chats=Chats(agent, embedding, await stack.enter_async_context(Tasks())),
                hosts=(settings.host, *settings.allowed_hosts),
            )
            warmth.begin()
            switch = _Switch(parts)

            async def apply(new: GatewaySettings) -> frozenset[str]:
                switch.apply(await _token(new, worker), (settings.host, *new.allowed_hosts))
                return _LIVE

            yield Serving(switch, [listener], _where(listener), workers=(worker,), apply=apply)


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
            access = Access(token, started_s=time.time())
        self._parts = replace(self._parts, access=access, hosts=hosts)
        self._app = create_app(self._parts)


async def _token(settings: GatewaySettings, worker: Worker) -> str:
    return settings.ui_token or await worker.run(functools.partial(token.ensure, settings.data_dir))
