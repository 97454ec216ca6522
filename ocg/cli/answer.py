"""One question's answer, printed as it comes; Ctrl-C stops the answer and not the program."""

import asyncio
import signal
import sys
import uuid
from contextlib import suppress

from ocg.cli import terminal
from ocg.cli.asking import Asking
from ocg.errors import Code, OcgError
from ocg.protocol import events
from ocg.protocol.clients import AgentClient
from ocg.protocol.messages import TurnRequest

# How long a restart of the agent may take in the midst of an answer.
_PATIENCE_S = 10.0


class Answerer:
    """Asks in one session, which the first answer makes when there is none."""

    def __init__(self, client: AgentClient, session: str | None) -> None:
        self.client = client
        self.session = session
        self._turn = ""

    async def ask(self, question: str) -> None:
        """Ask and print the answer. Raises the error that the turn failed with; stopped by Ctrl-C is none."""
        task = asyncio.create_task(self._print(question))
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, task.cancel)
        try:
            await task
        except asyncio.CancelledError:
            await self._cancel()
        finally:
            loop.remove_signal_handler(signal.SIGINT)

    async def _cancel(self) -> None:
        if self._turn:
            with suppress(OcgError):  # it may be over by now
                await self.client.cancel(self._turn)
        print(terminal.paint("\n(stopped)", terminal.DIM))

    async def _print(self, question: str) -> None:
        request = TurnRequest(message=question, session_id=self.session, message_id=str(uuid.uuid4()))
        asking = Asking(self.client)
        try:
            async for event in self.client.turn(request, patience_s=_PATIENCE_S):
                await self._show(event, asking)
        finally:
            await asking.end()

    async def _show(self, event: events.TurnEvent, asking: Asking) -> None:
        match event:
            case events.TurnStarted():
                self._turn, self.session = event.turn_id, event.session_id
            case events.TextDelta():
                print(terminal.still(event.text), end="", flush=True)
            case events.ToolCall():
                self._note(terminal.plain(f"→ {event.name} {event.arguments}"))
            case events.ApprovalAsked() | events.ApprovalAnswered():
                await self._ask_about(event, asking)
            case events.ToolResult():
                self._note(terminal.still(f"← {event.content.strip()[:200]}"))
            case events.TurnResumed():
                print(terminal.paint("\n(the agent was restarted, and answers anew)\n", terminal.DIM))
            case events.TurnJoined():
                print(terminal.paint("(another answer that is under way takes this up)", terminal.DIM))
            case events.TurnCompleted():
                self._end(event)
            case events.TurnFailed():
                print(flush=True)
                raise OcgError(Code(event.code), event.message, event.hint)

    async def _ask_about(self, event: events.ApprovalAsked | events.ApprovalAnswered, asking: Asking) -> None:
        """Have a call asked about until it is answered, here or elsewhere."""
        await asking.end()
        if isinstance(event, events.ApprovalAnswered):
            self._note(terminal.plain(f"{event.answer}, by {event.by}"))
            return
        # A sub-agent's call was not told of before.
        self._note(terminal.plain(f"{event.name} {event.arguments} waits to be allowed: {event.why}"))
        if not asking.begin(event.approval_id):
            self._note(f"ocg approval allow {event.approval_id}")

    def _end(self, event: events.TurnCompleted) -> None:
        print(flush=True)
        if event.finish == "length":
            self._note("(the answer is cut off: it may be no longer)")

    def _note(self, text: str) -> None:
        """Say what happens beside the answer, where it does not mix with one that is piped on."""
        print(terminal.paint(text, terminal.DIM, sys.stderr), file=sys.stderr, flush=True)
