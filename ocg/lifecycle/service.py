"""`run()`: what it is to be a service, from the first signal handler to the exit status."""

import argparse
import asyncio
import faulthandler
import gc
import logging
import os
import socket
import sys
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ocg import __version__, config, log
from ocg.errors import EX_SOFTWARE, Code, OcgError
from ocg.lifecycle import sockets
from ocg.lifecycle.ladder import Ladder
from ocg.lifecycle.notify import Notifier, watchdog_interval_s
from ocg.lifecycle.pidfile import PidFile
from ocg.lifecycle.server import Server

if TYPE_CHECKING:
    from starlette.types import ASGIApp

_log = logging.getLogger(__name__)
S = TypeVar("S", bound=config.Common)


@dataclass(frozen=True, slots=True)
class Serving:
    """What a service has built: its application, the sockets it listens on, and where that is, for people."""

    app: "ASGIApp"
    listeners: list[socket.socket]
    where: str


class Service(Protocol):
    """A service's own part: entering it builds everything needed to serve, leaving it saves and closes."""

    name: str
    pid_dir: Path

    def open(self, notifier: Notifier, inherited: list[socket.socket]) -> AbstractAsyncContextManager[Serving]:
        """Build, serve, save. It may take its time; `notifier` tells the manager of it."""


def main(name: str, settings: type[S], build: Callable[[S], Service], argv: Sequence[str] | None = None) -> None:
    """Read the settings, run the service and exit. The one place where a service's errors become an exit status."""
    faulthandler.enable()
    try:
        found = _settings(name, settings, argv)
        log.set_up(found.log_level)
        status = asyncio.run(run(build(found)))
    except OcgError as error:
        log.set_up()
        status = _report(name, error)
    except Exception:
        logging.getLogger(f"ocg.{name}").exception("%s ended by a bug", name)
        status = EX_SOFTWARE
    _exit(status)


def _exit(status: int) -> None:
    """End at once: all is saved, and the interpreter's own end would free hundreds of modules one by one."""
    logging.shutdown()
    with suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status)


def _report(name: str, error: OcgError) -> int:
    logging.getLogger(name.replace("-", ".")).error("%s [%s]", error, error.code)
    Notifier().failed(str(error), error.code)
    return error.code.exit_status


def _settings(name: str, settings: type[S], argv: Sequence[str] | None) -> S:
    parser = argparse.ArgumentParser(prog=name)
    parser.add_argument("--config", metavar="FILE", help="the env.config to read (default: ./env.config)")
    parser.add_argument("--pid-dir", metavar="DIR", help="where the PID file goes (default: /tmp/ocg)")
    parser.add_argument("--version", action="version", version=f"{name} {__version__}")
    parsed = parser.parse_args(argv)
    return config.gather(settings, {"OCG_CONFIG": parsed.config or "", "OCG_PID_DIR": parsed.pid_dir or ""})


async def run(service: Service) -> int:
    """Be a service: signals, PID file, start, READY=1, serve, STOPPING=1, save. Returns the exit status."""
    ladder, notifier = Ladder(), Notifier()
    ladder.install()
    pid_file = PidFile(service.pid_dir, service.name)
    pid_file.acquire()
    try:
        await _live(service, ladder, notifier)
    finally:
        ladder.close()
        pid_file.release()
    return 0


async def _live(service: Service, ladder: Ladder, notifier: Notifier) -> None:
    context = service.open(notifier, sockets.inherited())
    entering = asyncio.ensure_future(context.__aenter__())
    await _first(entering, ladder.finish.wait())
    if not entering.done():  # stopped while starting: nothing was served, so nothing is lost
        entering.cancel()
        await asyncio.wait({entering})
        return
    serving = entering.result()
    try:
        await _serve(service.name, serving, ladder, notifier)
    except BaseException as error:
        if not await context.__aexit__(type(error), error, error.__traceback__):
            raise
    else:
        await context.__aexit__(None, None, None)


async def _first(task: "asyncio.Future[Any]", other: Coroutine[Any, Any, object]) -> None:
    """Wait until `task` or `other` is done, whichever comes first; `other` ends with the wait."""
    waiting = asyncio.create_task(other)
    await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()


async def _serve(name: str, serving: Serving, ladder: Ladder, notifier: Notifier) -> None:
    """Serve until the ladder says finish; then give what runs its time, and drop what outlasts it."""
    server = Server(serving.app)
    # What was built to serve lives as long as the service: looking through it at each collection is wasted.
    gc.freeze()
    async with asyncio.TaskGroup() as group:
        serve = group.create_task(server.serve(sockets=serving.listeners))
        await _first(serve, server.listening.wait())
        notifier.ready(f"Serving at {serving.where}")
        _log.info("%s %s serves at %s", name, __version__, serving.where)
        ping = group.create_task(_ping(notifier))
        await _first(serve, ladder.finish.wait())
        notifier.stopping()
        server.finish()
        await _first(serve, ladder.drop.wait())
        await server.drop()
        await serve
        ping.cancel()
    if not ladder.finish.is_set():
        raise OcgError(Code.INTERNAL, f"{name} stopped serving on its own", "its log says more")
    _log.info("%s stopped", name)


async def _ping(notifier: Notifier) -> None:
    """Ping the watchdog as long as the event loop turns."""
    if interval := watchdog_interval_s():
        while True:
            notifier.watchdog()
            await asyncio.sleep(interval)
