"""A call of a tool that waits to be allowed: asked about in the terminal, until somebody has answered."""

import asyncio
import sys
from contextlib import suppress
from typing import Any

from ocg.cli.approval import BY
from ocg.errors import OcgError
from ocg.protocol.approvals import ApprovalAnswer
from ocg.protocol.clients import AgentClient

_QUESTION = "Allow it? (y)es, (s)ession: not asked again in this conversation, (n)o: "
_ANSWERS = {
    "y": ApprovalAnswer(answer="allow", by=BY),
    "s": ApprovalAnswer(answer="allow", remember="session", by=BY),
    "n": ApprovalAnswer(answer="deny", by=BY),
}


class Asking:
    """Asks about one call at a time."""

    def __init__(self, client: AgentClient) -> None:
        self._client = client
        self._task: asyncio.Task[None] | None = None

    async def begin(self, approval_id: str) -> bool:
        """Ask, unless nobody is there to be asked; whether somebody is. Ctrl-C is no answer: it cancels the caller."""
        await self.end()
        caller = asyncio.current_task()
        if caller is None or not (sys.stdin.isatty() and sys.stdout.isatty()):
            return False
        self._task = asyncio.create_task(self._ask(approval_id, caller))
        return True

    async def end(self) -> None:
        """Ask no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
            self._task = None

    async def _ask(self, approval_id: str, caller: "asyncio.Task[Any]") -> None:
        from prompt_toolkit import PromptSession  # noqa: PLC0415 - it takes 0.1 s to import

        prompt: PromptSession[str] = PromptSession()
        try:
            said = ""
            while said not in _ANSWERS:
                said = (await prompt.prompt_async(_QUESTION, handle_sigint=False)).strip().lower()[:1]
        except (KeyboardInterrupt, EOFError):
            caller.cancel()
            return
        with suppress(OcgError):  # somebody else was faster; that is told as an event
            await self._client.approve(approval_id, _ANSWERS[said])
