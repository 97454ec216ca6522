"""A service with nothing in it but the lifecycle, which can misbehave: `tiny_service.py NAME MODE [--config …]`."""

import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from socket import socket

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ocg import config
from ocg.errors import Code, OcgError
from ocg.lifecycle import answers, service, sockets
from ocg.lifecycle.notify import Notifier
from ocg.lifecycle.service import Serving
from ocg.protocol import address
from ocg.protocol.messages import Health


class TinyService:
    """Serves /health as the service it stands for."""

    def __init__(self, name: str, mode: str, settings: config.Common) -> None:
        self.name = name
        self.pid_dir = settings.pid_dir
        self._mode = mode
        self._settings = settings

    @asynccontextmanager
    async def open(self, notifier: Notifier, inherited: list[socket]) -> AsyncIterator[Serving]:
        if self._mode == "refuses":
            raise OcgError(Code.CONFIG_INVALID, "the moon is full", "wait for another moon")
        if self._mode == "dies":
            sys.stderr.write("about to die\n")
            os.kill(os.getpid(), signal.SIGKILL)
        notifier.status("warming up")
        listener = inherited[0] if inherited else self._listen()
        name = listener.getsockname()
        where = address.Address(name if isinstance(name, str) else f"http://127.0.0.1:{name[1]}")
        if self.name == "ocg-embedding":
            address.publish(self._settings.address_dir, where)
        if self._mode.startswith("ignores"):
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if self._mode == "ignores-both":
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        yield Serving(answers.create_app([Route("/health", self._health)]), [listener], where.url)

    def _listen(self) -> socket:
        port = self._settings.port if self.name == "ocg-gateway" else 0
        return sockets.listen_tcp("127.0.0.1", [port], key="OCG_PORT")

    async def _health(self, _: Request) -> Response:
        return answers.answer(Health(service=self.name, version="0"))


def _main() -> None:
    name, mode, *rest = sys.argv[1:]
    if mode == "never-ready":
        time.sleep(600)
    service.main(
        name, "a service that does nothing", config.Common, lambda settings: TinyService(name, mode, settings), rest
    )


if __name__ == "__main__":
    _main()
