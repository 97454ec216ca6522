"""A browser in the cage: Chromium, led by Playwright, whose only way out is our door."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec
from playwright.sync_api import BrowserContext, Error, Page, sync_playwright

from ocg.errors import Code, OcgError
from ocg.protocol import frames, wire
from ocg.protocol.tooling import Action, Browse, Failure
from ocg.protocol.tooling.browser import program
from ocg.tool.connection import Connection
from ocg.tool.web.client import target
from ocg.tool.web.door import Door
from ocg.tool.web.reach import Reach
from ocg.tool.workspace import Workspace

IDLE_S = 300.0
_ACT_MS = 10_000
_OPEN_MS = 30_000
_SETTLE_MS = 3_000
_MAX_CHARS = 100_000
_ARGUMENTS = (
    "--no-sandbox",  # it is in ours, which lets nobody make another
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    # No way beside the door: no name is looked up here, and nothing is sent by UDP.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
)


def serve(connection: Connection, workspace: Workspace, asked: Browse) -> None:
    """Do one action after another until the agent goes, or wants nothing for a long time."""
    connection.sock.settimeout(IDLE_S)
    with Door(Reach(asked.private)) as door, _listening(door), _context(door) as context:
        browser = Browser(context.new_page(), door, workspace)
        context.on("page", browser.turn_to)
        while True:
            kind, data = connection.receive()
            if kind != frames.INPUT:
                return
            try:
                found = browser.do(wire.decode(Action, data))
            except OcgError as error:
                connection.send(frames.FAILURE, msgspec.json.encode(Failure(error.code, error.message, error.hint)))
            else:
                connection.send(frames.RESULT, found.encode("utf-8", "replace"))


class Browser:
    """The page that is looked at."""

    def __init__(self, page: Page, door: Door, workspace: Workspace) -> None:
        self._page = page
        self._door = door
        self._workspace = workspace

    def turn_to(self, page: Page) -> None:
        """Look at another page, such as one that a link opened."""
        self._page = page

    def do(self, asked: Action) -> str:
        """Do it and return what is to be seen then. Raises OcgError."""
        self._door.refused.clear()
        try:
            return self._act(asked)
        except Error as error:
            why = "; ".join([error.message.partition("\n")[0][:300], *self._door.refused])
            hint = "take a snapshot: refs are those of the last one"
            raise OcgError(Code.UNAVAILABLE, f"{asked.action}: {why}", hint) from None

    def _act(self, asked: Action) -> str:
        match asked.action:
            case "open":
                where = target(asked.url)
                self._door.reach.find(where.host, where.port)
                self._page.goto(asked.url, timeout=_OPEN_MS, wait_until="domcontentloaded")
            case "back":
                self._page.go_back(timeout=_OPEN_MS, wait_until="domcontentloaded")
            case "text":
                return self._shown(self._page.locator("body").inner_text)
            case "screenshot":
                return self._screenshot(asked.path)
            case "press":
                self._page.keyboard.press(asked.text)
            case "click" | "type" | "select":
                self._at(asked)
        return self._shown(lambda: self._page.aria_snapshot(mode="ai"))

    def _screenshot(self, path: str) -> str:
        if not path.endswith(".png"):
            raise OcgError(Code.INVALID_REQUEST, f"{path} does not end in .png", "a screenshot is a PNG")
        self._workspace.write(path, self._page.screenshot())
        return f"it is in {path}; the tool image describes it"

    def _at(self, asked: Action) -> None:
        if not asked.ref.isalnum():
            raise OcgError(Code.INVALID_REQUEST, f"{asked.action} needs a ref", "take it from a snapshot, such as e12")
        place = self._page.locator(f"aria-ref={asked.ref}")
        match asked.action:
            case "click":
                place.click()
            case "type":
                place.fill(asked.text)
            case _:
                place.select_option(asked.text)

    def _shown(self, look: Callable[[], str]) -> str:
        """Say where we are, and what is there once the page has come to rest."""
        try:
            self._page.wait_for_load_state("load", timeout=_SETTLE_MS)
        except Error:  # some never do
            pass
        text = look()
        cut = f"\n[… {len(text) - _MAX_CHARS} characters left out]" if len(text) > _MAX_CHARS else ""
        refused = "".join(f"\n[not loaded: {why}]" for why in dict.fromkeys(self._door.refused))
        return f"# {self._page.title()}\n\n{self._page.url}\n\n{text[:_MAX_CHARS]}{cut}{refused}"


@contextmanager
def _listening(door: Door) -> Iterator[None]:
    thread = threading.Thread(target=door.serve_forever, args=(0.1,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        door.shutdown()
        thread.join()


@contextmanager
def _context(door: Door) -> Iterator[BrowserContext]:
    """Start Chromium with a profile that nothing is left of. Raises UNAVAILABLE."""
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(
                executable_path=program(),
                args=_ARGUMENTS,
                proxy={"server": door.url, "bypass": "<-loopback>"},
                chromium_sandbox=False,
            )
        except Error as error:
            said = [line for line in error.message.splitlines()[1:] if "[err]" in line]
            why = f"Chromium does not start here: {' '.join(said)[:300] or error.message[:300]}"
            raise OcgError(Code.UNAVAILABLE, why, "read docs/web.md; web_fetch reads pages without it") from None
        context = browser.new_context(accept_downloads=False, service_workers="block")
        context.set_default_timeout(_ACT_MS)
        yield context
        browser.close()
