"""A turn's events, told once more from what is on disk, with the numbers they had.

An event's number is where the turn's log stands after it: 1 after `turn.started`, then one more for each character of
text and each other event. A message keeps the number of its last event, and its own length gives the rest. A turn that
was cut off goes on at the next multiple of ATTEMPT, so that no number is given twice to different events.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from ocg.agent.rows import Told, Turn
from ocg.protocol import events
from ocg.protocol.approvals import Approval
from ocg.protocol.events import LAST, Event, Finish, ReasoningDelta, TextDelta, TurnEvent, TurnResumed
from ocg.protocol.messages import Message, ToolUse

ATTEMPT = 1 << 32
_PIECE_CHARS = 16_384  # of an event's text: whoever reads it has a limit


def width(event: type[Event], text: str) -> int:
    """How many numbers an event takes."""
    return len(text) if issubclass(event, TextDelta | ReasoningDelta) else 1


def unseen(event: TurnEvent, after: int) -> TurnEvent | None:
    """Return what of an event is new to whoever has seen all up to number `after`. The last one always is."""
    if isinstance(event, LAST):
        return event
    if event.seq <= after:
        return None
    if isinstance(event, TurnResumed):
        return event if after > event.kept else None
    if isinstance(event, TextDelta | ReasoningDelta) and event.seq - after < len(event.text):
        return msgspec.structs.replace(event, text=event.text[after - event.seq :])
    return event


def retold(turn: Turn, told: Sequence[Told]) -> list[TurnEvent]:
    """Tell a turn from its beginning, without its end."""
    return list(_Retelling(turn, told).events())


def end(turn: Turn, after: int, last: Message | None) -> TurnEvent:
    """Tell how a turn ended, with its `last` message, if it has any.

    `after` is the number before, which counts where the turn itself kept none.
    """
    key: dict[str, Any] = {"turn_id": turn.id, "session_id": turn.session_id, "seq": turn.event_seq or after + 1}
    if turn.joined is not None:
        return events.TurnJoined(**key, into=turn.joined)
    if turn.error is not None:
        return events.TurnFailed(**key, code=turn.error.code, message=turn.error.message, hint=turn.error.hint)
    if last is None:
        return events.TurnCompleted(**key, text="", usage=turn.usage)
    finish: Finish = "length" if last.is_cut else "tool_calls" if last.client_calls else "stop"
    return events.TurnCompleted(**key, text=last.content, usage=turn.usage, tool_calls=last.client_calls, finish=finish)


def asked_of(approval: Approval) -> dict[str, Any]:
    """Return what the event tells that asks for an approval."""
    keys = ("call_id", "name", "arguments", "why", "expires_at")
    return {"approval_id": approval.id} | {key: getattr(approval, key) for key in keys}


def answered_of(approval: Approval) -> dict[str, Any]:
    """Return what the event tells of its answer."""
    return {"approval_id": approval.id, "call_id": approval.call_id, "answer": approval.answer, "by": approval.by}


class _Retelling:
    """One of them."""

    def __init__(self, turn: Turn, told: Sequence[Told]) -> None:
        self._turn = turn
        self._told = told
        messages = [one.message for one in told]
        self._calls = {call.id: call for message in messages for call in message.tool_calls}
        self._at = 0

    def events(self) -> Iterator[TurnEvent]:
        """Give them."""
        yield self._next(events.TurnStarted, message_id=self._turn.message_id)
        for one in self._told:
            if one.event_seq is None:
                continue
            begin = one.event_seq - _width(one)
            if begin > self._at:
                yield self._resumed(begin)
            yield from self._message(one)
            self._at = one.event_seq
        if self._turn.is_open and self._turn.attempts * ATTEMPT > self._at:
            yield self._resumed(self._turn.attempts * ATTEMPT)

    def _resumed(self, seq: int) -> TurnEvent:
        kept, self._at = self._at, seq
        return TurnResumed(turn_id=self._turn.id, session_id=self._turn.session_id, seq=seq, kept=kept)

    def _message(self, one: Told) -> Iterator[TurnEvent]:
        message = one.message
        if message.role == "user":
            yield self._next(events.MessageAdded, text=message.content)
        if message.role == "assistant":
            for kind, text in _parts(one):
                yield from (self._next(kind, text=piece) for piece in _pieces(text))
        if message.role == "tool" and message.tool_call_id is not None:
            none = ToolUse(id=message.tool_call_id, name="", arguments="{}")
            call = self._calls.get(message.tool_call_id, none)
            yield self._next(events.ToolCall, call_id=call.id, name=call.name, arguments=call.arguments)
            if (approval := one.approval) is not None:
                yield self._next(events.ApprovalAsked, **asked_of(approval))
                yield self._next(events.ApprovalAnswered, **answered_of(approval))
            is_error = message.content.startswith("error: ")
            result = {"call_id": call.id, "name": call.name, "content": message.content}
            yield self._next(events.ToolResult, **result, is_error=is_error)

    def _next(self, kind: type[Event], **fields: object) -> TurnEvent:
        self._at += width(kind, str(fields.get("text", "")))
        key = {"turn_id": self._turn.id, "session_id": self._turn.session_id, "seq": self._at}
        return kind(**key, **fields)  # type: ignore[return-value,arg-type] # each class of events.py is one of them


def _parts(one: Told) -> Iterator[tuple[type[Event], str]]:
    """Give what was thought and said, in the order it was."""
    thought, said = one.message.reasoning, one.message.content
    for is_thought, chars in one.spans or ((True, len(thought)), (False, len(said))):
        if is_thought:
            part, thought = thought[:chars], thought[chars:]
        else:
            part, said = said[:chars], said[chars:]
        yield (ReasoningDelta if is_thought else TextDelta), part


def _pieces(text: str) -> Iterator[str]:
    return (text[at : at + _PIECE_CHARS] for at in range(0, len(text), _PIECE_CHARS))


def _width(one: Told) -> int:
    """How many numbers a message's events take."""
    match one.message.role:
        case "assistant":
            return len(one.message.reasoning) + len(one.message.content)
        case "tool":
            return 2 if one.approval is None else 4  # the call and the result, and between them question and answer
        case _:
            return 1
