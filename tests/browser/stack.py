"""The three services under the page, and what the browser says of it."""

import contextlib
from pathlib import Path

from playwright.sync_api import ConsoleMessage

from tests.processes import Process, running


class Stack:
    """The three services; each can be taken away and brought back."""

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        self.url = f"http://127.0.0.1:{env['OCG_PORT']}/"
        self.token = env["OCG_UI_TOKEN"]
        self._folder, self._env = folder, env
        self._running: dict[str, tuple[Process, contextlib.ExitStack]] = {}

    def start(self, *modules: str) -> None:
        """Start all three, or those named; side by side, since none waits for another."""
        modules = modules or ("ocg.embedding", "ocg.agent", "ocg.gateway")
        for module in modules:
            owner = contextlib.ExitStack()
            process = owner.enter_context(running(self._folder, module, self._env, ready=False))
            self._running[module] = process, owner
        for module in modules:
            self._running[module][0].wait_ready()

    def crash(self, module: str) -> None:
        process, owner = self._running.pop(module)
        process.popen.kill()
        owner.close()

    def close(self) -> None:
        for module in reversed(list(self._running)):
            self._running.pop(module)[1].close()


class Complaints:
    """What the browser's console says that it should not: errors, warnings, breaches of the security policy."""

    def __init__(self) -> None:
        self.found: list[str] = []
        # The browser itself logs each refusal and each broken connection; a test that causes some names them here.
        self.expected: list[str] = []

    def hear(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.found.append(f"{message.text} ({message.location.get('url', '')})")

    def hear_error(self, error: Exception) -> None:
        self.found.append(f"uncaught: {error}")

    def unexpected(self) -> list[str]:
        return [one for one in self.found if not any(part in one for part in self.expected)]
