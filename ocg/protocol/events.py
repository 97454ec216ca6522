"""What happens in a turn, as the agent tells it and every front passes it on.

`seq` is where a turn's log stands after the event. It begins with 1 and grows; each character of text counts one, so
that whoever gives the last `seq` it has seen gets exactly the rest, however the text is cut into events then.
"""

from typing import Literal

import msgspec

from ocg.protocol.approvals import Answer
from ocg.protocol.messages import ToolUse, Usage

# Why a reply ended: by itself, by the limit of tokens, or to have its tools run.
Finish = Literal["stop", "length", "tool_calls"]


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """The base of all events."""

    turn_id: str
    session_id: str
    seq: int


class TurnStarted(Event, frozen=True, tag="turn.started"):
    """The message is on disk and its turn begins."""

    message_id: str


class TextDelta(Event, frozen=True, tag="text.delta"):
    """More of the answer's text."""

    text: str


class ReasoningDelta(Event, frozen=True, tag="reasoning.delta"):
    """More of what the model thinks before it answers; no part of the answer."""

    text: str


class ToolCall(Event, frozen=True, tag="tool.call"):
    """The model calls a tool; `arguments` is JSON text."""

    call_id: str
    name: str
    arguments: str


class ToolResult(Event, frozen=True, tag="tool.result"):
    """What the tool gave."""

    call_id: str
    name: str
    content: str
    is_error: bool = False


class ApprovalAsked(Event, frozen=True, tag="approval.asked"):
    """The call waits for a person to allow it; `why` says what has it asked about.

    Without an answer by `expires_at` (Unix seconds) it is denied.
    """

    approval_id: str
    call_id: str
    name: str
    arguments: str
    why: str
    expires_at: float


class ApprovalAnswered(Event, frozen=True, tag="approval.answered"):
    """The call was allowed or denied; `by` says who did, or that it was `timeout`."""

    approval_id: str
    call_id: str
    answer: Answer
    by: str


class MessageAdded(Event, frozen=True, tag="message.added"):
    """Another message of the user's joined the turn while it ran; the model sees it from here on."""

    text: str


class TurnResumed(Event, frozen=True, tag="turn.resumed"):
    """The turn was cut off and goes on from its last whole step: what came after the event number `kept` is void.

    Only who heard such events is told.
    """

    kept: int


class TurnJoined(Event, frozen=True, tag="turn.joined"):
    """The message joined another turn, which answers it; this one is over."""

    into: str


class TurnCompleted(Event, frozen=True, tag="turn.completed"):
    """The answer is whole and on disk; `tool_calls` are of tools that the client runs, who asks anew with results."""

    text: str
    usage: Usage = Usage()
    tool_calls: tuple[ToolUse, ...] = ()
    finish: Finish = "stop"


class TurnFailed(Event, frozen=True, tag="turn.failed"):
    """The turn ended without an answer; `code` is an `ocg.errors.Code`, `cancelled` among them."""

    code: str
    message: str
    hint: str = ""


TurnEvent = (
    TurnStarted
    | TextDelta
    | ReasoningDelta
    | ToolCall
    | ToolResult
    | ApprovalAsked
    | ApprovalAnswered
    | MessageAdded
    | TurnResumed
    | TurnJoined
    | TurnCompleted
    | TurnFailed
)

LAST = (TurnCompleted, TurnFailed, TurnJoined)
