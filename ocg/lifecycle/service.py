"""`run()`: what it is to be a service, from the first signal handler to the exit status."""

import argparse
import asyncio
import faulthandler
import gc
import logging
import os
import signal
import socket
import ssl
import sys
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ocg import __version__, config, log
from ocg.errors import EX_SOFTWARE, Code, OcgError
from ocg.lifecycle import sockets, watchdog
from ocg.lifecycle.door import allow_descriptors
from ocg.lifecycle.ladder import Ladder
from ocg.lifecycle.notify import Notifier
from ocg.lifecycle.pidfile import PidFile
from ocg.lifecycle.reload import Apply, Reloader
from ocg.lifecycle.server import Server
from ocg.lifecycle.worker import Worker

if TYPE_CHECKING:
    from starlette.types import ASGIApp

_log = logging.getLogger(__name__)
S = TypeVar("S", bound=config.Common)


@dataclass(frozen=True, slots=True)
class Serving:
    """What a service has built: its application, the sockets it listens on, and where that is, for people.

    `workers` are the threads that the watchdog looks after; `apply` takes over what a reload brings; `tls` is how the
    connections are encrypted, if they are.
    """

    app: "ASGIApp"
    listeners: list[socket.socket]
    where: str
    workers: tuple[Worker, ...] = ()
    apply: Apply[Any] | None = None
    tls: ssl.SSLContext | None = None


class Service(Protocol):
    """A service's own part: entering it builds everything needed to serve, leaving it saves and closes."""

    name: str
    pid_dir: Path

    def open(self, notifier: Notifier, inherited: list[socket.socket]) -> AbstractAsyncContextManager[Serving]:
        """Build, serve, save. It may take its time; `notifier` tells the manager of it."""


def main(
    name: str, summary: str, settings: type[S], build: Callable[[S], Service], argv: Sequence[str] | None = None
) -> None:
    """Read the settings, run the service and exit. The one place where a service's errors become an exit status."""
    faulthandler.enable()
    allow_descriptors()
    try:
        parsed = build_parser(name, summary).parse_args(argv)
        places = {"OCG_CONFIG": parsed.config or "", "OCG_PID_DIR": parsed.pid_dir or ""}
        sources = config.Sources.find(places, os.environ)
        reloader = Reloader(sources, settings)
        log.set_up(reloader.settings.log_level)
        for key in sorted(sources.ignored()):
            _log.warning("%s in %s counts for nothing here: systemd's unit decides it", key, sources.file)
        status = asyncio.run(run(build(reloader.settings), reloader))
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
    fields = {"OCG_ERROR": error.code.value}
    logging.getLogger(name.replace("-", ".")).error("%s [%s]", error, error.code, extra={"fields": fields})
    Notifier().failed(str(error), error.code)
    return error.code.exit_status


def build_parser(name: str, summary: str) -> argparse.ArgumentParser:
    """Build the parser of a service's command line."""
    parser = argparse.ArgumentParser(
        prog=name, description=summary, epilog=f"Manual pages: {name}(8), env.config(5).", allow_abbrev=False
    )
    parser.add_argument("--config", metavar="FILE", help="the env.config to read (default: ./env.config)")
    parser.add_argument("--pid-dir", metavar="DIR", help="where the PID file goes (default: /tmp/ocg)")
    parser.add_argument(
        "--version", action="version", version=f"{name} {__version__}", help="print the version and exit"
    )
    return parser


async def run(service: Service, reloader: Reloader[Any]) -> int:
    """Be a service: signals, PID file, start, READY=1, serve, STOPPING=1, save. Returns the exit status."""
    ladder, notifier, hangup = Ladder(), Notifier(), asyncio.Event()
    ladder.install()
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, hangup.set)
    pid_file = PidFile(service.pid_dir, service.name)
    pid_file.acquire()
    try:
        await _live(service, ladder, notifier, _Reloading(reloader, hangup))
    finally:
        ladder.close()
        pid_file.release()
    return 0


@dataclass(frozen=True, slots=True)
class _Reloading:
    """Reloads, one after the other, at each SIGHUP; what comes while one is at work makes one more."""

    reloader: Reloader[Any]
    hangup: asyncio.Event

    async def run(self, serving: Serving, notifier: Notifier, status: str) -> None:
        while await self.hangup.wait():
            self.hangup.clear()
            try:
                await self.reloader.reload(serving.apply, notifier, status)
            except Exception:  # noqa: BLE001 - whatever a reload meets, what serves goes on
                _log.exception("the reload ended by a bug")
                notifier.ready(status)


async def _live(service: Service, ladder: Ladder, notifier: Notifier, reloading: _Reloading) -> None:
    context = service.open(notifier, sockets.inherited())
    entering = asyncio.ensure_future(context.__aenter__())
    await _first(entering, ladder.finish.wait())
    if not entering.done():  # stopped while starting: nothing was served, so nothing is lost
        entering.cancel()
        await asyncio.wait({entering})
        return
    serving = entering.result()
    try:
        await _serve(service.name, serving, ladder, notifier, reloading)
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


async def _serve(name: str, serving: Serving, ladder: Ladder, notifier: Notifier, reloading: _Reloading) -> None:
    """Serve until the ladder says finish; then give what runs its time, and drop what outlasts it."""
    server, status = Server(serving.app, serving.tls), f"Serving at {serving.where}"
    # What was built to serve lives as long as the service: looking through it at each collection is wasted.
    gc.freeze()
    async with asyncio.TaskGroup() as group:
        serve = group.create_task(server.serve(sockets=serving.listeners))
        await _first(serve, server.listening.wait())
        notifier.ready(status)
        _log.info("%s %s serves at %s", name, __version__, serving.where)
        ping = group.create_task(watchdog.ping(notifier, serving.workers))
        reload = group.create_task(reloading.run(serving, notifier, status))
        await _first(serve, ladder.finish.wait())
        reload.cancel()
        notifier.stopping()
        server.finish()
        await _first(serve, ladder.drop.wait())
        await server.drop()
        await serve
        ping.cancel()
    if not ladder.finish.is_set():
        raise OcgError(Code.INTERNAL, f"{name} stopped serving on its own", "its log says more")
    _log.info("%s stopped", name)
