"""A browser for each conversation, in a cage of its own, for as long as it is used."""

import asyncio
import importlib.util
from collections.abc import Sequence
from contextlib import aclosing

from ocg.agent.confinement import Confined, Confinement
from ocg.agent.confinement.base import GoneError
from ocg.agent.tools.base import Place
from ocg.errors import Code, OcgError
from ocg.protocol import frames, wire
from ocg.protocol.approvals import Decision
from ocg.protocol.tooling import Action, Browse, Cage
from ocg.protocol.tooling.browser import program

_IDLE_S = 290.0  # a little less than the process itself waits
_ACT_S = 75.0  # some of what Chromium does, such as pressing a key, has no limit of its own
_MOST = 3
_WAITING = 4

_Job = tuple[Action, asyncio.Future[str]]


def is_installed() -> bool:
    """Whether there are both Playwright and a browser for it."""
    return importlib.util.find_spec("playwright") is not None and program() is not None


class StuckError(OcgError):
    """A page holds its browser up, which is ended."""

    def __init__(self) -> None:
        super().__init__(Code.TIMEOUT, f"the page held the browser up for {_ACT_S:g} s; it was closed", "do without it")


class Browsers:
    """The browsers that are open, by session."""

    def __init__(self, confinement: Confinement, private: Sequence[str]) -> None:
        self._confinement = confinement
        self._private = tuple(private)
        self._jobs: dict[str, asyncio.Queue[_Job]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def do(self, session_id: str, action: Action) -> str:
        """Do it in a session's browser. Raises OcgError."""
        jobs = self._jobs.get(session_id) or self._begin(session_id, action)
        done: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        try:
            jobs.put_nowait((action, done))
        except asyncio.QueueFull:
            raise OcgError(Code.BUSY, "the browser has too much to do", "one action after another") from None
        return await done

    def _begin(self, session_id: str, action: Action) -> asyncio.Queue[_Job]:
        if action.action != "open":
            raise OcgError(Code.INVALID_REQUEST, "no page is open", "open one first, by its url")
        if len(self._jobs) >= _MOST:
            raise OcgError(Code.BUSY, f"{_MOST} browsers are open already", "close one, or try again later")
        jobs = self._jobs[session_id] = asyncio.Queue(_WAITING)
        task = asyncio.create_task(self._serve(session_id, jobs), name=session_id)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return jobs

    async def _serve(self, session_id: str, jobs: asyncio.Queue[_Job]) -> None:
        """Keep a browser until nobody wants anything of it; whatever ends it, nobody waits any longer."""
        failed = _closed()
        try:
            async with self._confinement.open(Cage.NET, Browse(self._private)) as confined:
                try:
                    await _work(confined, jobs)
                finally:
                    self._forget(session_id, jobs)  # now, as its end takes a while
        except OcgError as error:
            failed = error
        except TimeoutError:  # it was idle
            pass
        finally:
            self._forget(session_id, jobs)
            while not jobs.empty():
                _tell(jobs.get_nowait()[1], failed)

    def _forget(self, session_id: str, jobs: asyncio.Queue[_Job]) -> None:
        if self._jobs.get(session_id) is jobs:
            del self._jobs[session_id]

    def end_session(self, session_id: str) -> None:
        """End a session's browser, if it has one."""
        for task in self._tasks:
            if task.get_name() == session_id:
                task.cancel()

    async def close(self) -> None:
        """End all of them."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _work(confined: Confined, jobs: asyncio.Queue[_Job]) -> None:
    """Do jobs until the browser is closed. Raises TimeoutError when there is none for long, and UNAVAILABLE."""
    is_begun = False
    while True:
        async with asyncio.timeout(_IDLE_S):
            action, done = await jobs.get()
        try:
            found = "closed" if action.action == "close" else await _acted(confined, action)
        except (OcgError, asyncio.CancelledError) as error:
            is_over = not is_begun or not isinstance(error, OcgError) or isinstance(error, GoneError | StuckError)
            _tell(done, error if isinstance(error, OcgError) else _closed())
            if is_over:
                raise
        else:
            if not done.done():
                done.set_result(found)
        if action.action == "close":
            return
        is_begun = True


def _tell(done: asyncio.Future[str], error: OcgError) -> None:
    if not done.done():  # whoever asked may have gone
        done.set_exception(error)


def _closed() -> OcgError:
    return OcgError(Code.UNAVAILABLE, "the browser was closed", "open the page again")


async def _acted(confined: Confined, action: Action) -> str:
    parts = []
    try:
        async with asyncio.timeout(_ACT_S), aclosing(confined.frames()) as answer:
            await confined.send(frames.INPUT, wire.encode(action))
            async for _, data in answer:
                parts.append(data)
    except TimeoutError:
        raise StuckError from None
    return b"".join(parts).decode("utf-8", "replace")


class BrowserTool:
    """See Tool."""

    name = "browser"
    description = "Use a web page that web_fetch cannot read: one made by scripts, with forms and buttons."
    default: Decision = "ask"
    arguments = Action
    timeout_s = 90.0
    is_repeatable = False
    is_outside = True

    def __init__(self, browsers: Browsers) -> None:
        self._browsers = browsers

    async def run(self, arguments: Action, place: Place) -> str:
        """Have it done in the conversation's own browser."""
        return await self._browsers.do(place.turn.session_id, arguments)
