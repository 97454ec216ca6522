"""A call of a tool that waits to be allowed: asked about in the terminal, until somebody has answered."""

import asyncio
import sys
import termios
from typing import Any

from ocg.cli import terminal
from ocg.cli.approval import BY
from ocg.errors import Code, OcgError
from ocg.protocol.approvals import ApprovalAnswer
from ocg.protocol.clients import AgentClient

_QUESTION = "Allow it? (y)es, (s)ession: not asked again in this conversation, (n)o: "
_ALLOW = ApprovalAnswer(answer="allow", by=BY)
_ALLOW_SESSION = ApprovalAnswer(answer="allow", remember="session", by=BY)
_DENY = ApprovalAnswer(answer="deny", by=BY)
# Whole words alone: "stop" is no "session".
_ANSWERS = {"y": _ALLOW, "yes": _ALLOW, "s": _ALLOW_SESSION, "session": _ALLOW_SESSION, "n": _DENY, "no": _DENY}
_OVER = {Code.CONFLICT, Code.NOT_FOUND}  # somebody else was faster, or the turn has ended; that is told as an event


class Asking:
    """Asks about one call at a time."""

    def __init__(self, client: AgentClient) -> None:
        self._client = client
        self._task: asyncio.Task[None] | None = None

    def begin(self, approval_id: str) -> bool:
        """Ask, unless nobody is there to be asked; whether somebody is. Ctrl-C is no answer: it cancels the caller.

        What was asked about before has to be ended.
        """
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
        from prompt_toolkit.input.typeahead import clear_typeahead  # noqa: PLC0415 - as above

        prompt: PromptSession[str] = PromptSession()
        termios.tcflush(sys.stdin, termios.TCIFLUSH)  # what was typed before the question is no answer to it
        clear_typeahead(prompt.input)
        try:
            while not await self._give(approval_id, await prompt.prompt_async(_QUESTION, handle_sigint=False)):
                pass
        except (KeyboardInterrupt, EOFError):
            caller.cancel()

    async def _give(self, approval_id: str, said: str) -> bool:
        """Answer with what was said, if it is an answer; whether there is nothing more to ask."""
        answer = _ANSWERS.get(said.strip().lower())
        if answer is None:
            return False
        try:
            await self._client.approve(approval_id, answer)
        except OcgError as error:
            if error.code not in _OVER:
                terminal.report(error)
                return False
        return True
