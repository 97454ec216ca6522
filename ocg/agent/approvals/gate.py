"""The gate that every call of a tool goes through: a rule lets it pass, or not, or a person is asked."""

import asyncio
import logging
import time
from collections import defaultdict
from urllib.parse import urlsplit

from ocg.agent import retelling
from ocg.agent.approvals.records import LATE, About, Records
from ocg.agent.hooks import Guard
from ocg.agent.live import LiveTurn
from ocg.agent.policy import Policy, PolicyFile, Verdict
from ocg.agent.tools.base import Outcome, Tool, failed, parse
from ocg.config import AgentSettings
from ocg.errors import Code, OcgError
from ocg.protocol import events
from ocg.protocol.approvals import Answer, Approval, ApprovalAnswer
from ocg.protocol.messages import ToolUse

_log = logging.getLogger(__name__)


class Gate:
    """Decides on calls; those that wait for an answer hear of it here."""

    def __init__(
        self, records: Records, policy: PolicyFile, settings: AgentSettings, guard: Guard | None = None
    ) -> None:
        self.records = records
        self._guard = guard
        self.policy = policy
        self._time_s = settings.approval_time_s
        self._news: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)

    def apply(self, settings: AgentSettings, policy: Policy) -> None:
        """Do as new settings and the policy say, from the next call on."""
        self.policy.take(policy)
        self._time_s = settings.approval_time_s

    async def answer(self, approval_id: str, asked: ApprovalAnswer) -> Approval:
        """Take an answer; it is on disk on return. The same once more changes nothing.

        Raises NOT_FOUND, and CONFLICT when there was another answer before.
        """
        found = await self.records.answer(approval_id, asked)
        if approval_id in self._news:
            self._news[approval_id].set()
        if found.answer != asked.answer:
            raise OcgError(
                Code.CONFLICT,
                f"the call of {found.name} was decided on before: {found.answer}, by {found.by}",
                "see what waits: ocg approval list",
            )
        return found

    async def refusal(self, live: LiveTurn, call: ToolUse, tool: Tool | None) -> Outcome | None:
        """Return why a call is not run; None when it is, after a person was asked if need be.

        `tool` is None where there is none of that name, which does nothing.
        """
        if tool is None:
            return None
        kept = await self.records.of_call(live.turn, call)
        if kept is not None:  # whatever the rules say by now: its question was told, and so is its answer
            return await self._ask(live, call, kept.why, About())
        try:  # rules judge what the tool reads, and nobody is asked about what it cannot read
            arguments = parse(tool, call.arguments)
        except OcgError as error:
            return failed(error)
        verdict, judged = await self.policy.judge(
            call.name,
            arguments,
            default=tool.default,
            session=live.turn.conversation,
            channel=live.turn.channel,
            is_stranger=live.turn.is_stranger,
        )
        if verdict.decision != "deny" and (no := await self._forbidden(live, call, arguments)):
            verdict = no
        if verdict.decision == "ask":
            about = About(judged.command or _site(arguments), has_network=judged.has_network)
            held = await self.records.remembered(live.turn, call.name, about)
            if held is None or live.turn.is_stranger:  # nobody tells one stranger from another
                return await self._ask(live, call, verdict.why, about)
            verdict = Verdict(held, "session", "the user said no before, for this conversation")
        answer: Answer = "allow" if verdict.decision == "allow" else "deny"
        await self.records.decide(live.turn, call, answer, verdict.by)
        return _outcome(call, answer, verdict.by, verdict.why)

    async def _forbidden(self, live: LiveTurn, call: ToolUse, arguments: object) -> Verdict | None:
        no = await self._guard.forbids(live.turn, call, arguments) if self._guard is not None else None
        return None if no is None else Verdict("deny", no.by, no.why)

    async def is_undone(self, live: LiveTurn, call: ToolUse) -> bool:
        """Whether a call that was cut off can have done nothing: it was not allowed yet."""
        kept = await self.records.of_call(live.turn, call)
        return kept is not None and kept.answer != "allow"

    async def retell(self, live: LiveTurn, call: ToolUse) -> None:
        """Tell what was asked and answered about a call that was cut off."""
        if (kept := await self.records.of_call(live.turn, call)) is not None:
            live.emit(events.ApprovalAsked, **retelling.asked_of(kept))
            live.emit(events.ApprovalAnswered, **retelling.answered_of(kept))

    async def _ask(self, live: LiveTurn, call: ToolUse, why: str, about: About) -> Outcome | None:
        asked = await self.records.ask(live.turn, call, about=about, why=why, time_s=self._time_s)
        live.emit(events.ApprovalAsked, **retelling.asked_of(asked))
        _log.info("%s waits to be allowed: ocg approval allow %s", call.name, asked.id)
        with live.paused():
            answered = await self._answered(asked)
        live.emit(events.ApprovalAnswered, **retelling.answered_of(answered))
        answer: Answer = "allow" if answered.answer == "allow" else "deny"
        is_late = answered.by == LATE.by
        return _outcome(call, answer, answered.by, "nobody allowed it in time" if is_late else "the user said no")

    async def _answered(self, asked: Approval) -> Approval:
        """Wait for an answer, which may be there by now; too late is no."""
        news = self._news[asked.id]
        try:
            async with asyncio.timeout(asked.expires_at - time.time()):
                while not (found := await self.records.get(asked.id)).answer:
                    await news.wait()
                return found
        except TimeoutError:
            return await self.records.answer(asked.id, LATE)
        finally:
            self._news.pop(asked.id, None)


def _site(arguments: object) -> str:
    """Return the host that a call is about: a page may name another, for what it wants to have carried there."""
    url = getattr(arguments, "url", "")
    try:
        return urlsplit(url).netloc if isinstance(url, str) else ""
    except ValueError:
        return str(url)


def _outcome(call: ToolUse, answer: Answer, by: str, why: str) -> Outcome | None:
    """Log a decision, and tell the model when it is no."""
    fields = {"OCG_TOOL": call.name, "OCG_DECISION": answer, "OCG_DECIDED_BY": by}
    _log.info("%s: %s, by %s", call.name, answer, by, extra={"fields": fields})
    if answer == "allow":
        return None
    return failed(OcgError(Code.FORBIDDEN, f"{call.name} was not run: {why}", "do without it, or ask the user"))
