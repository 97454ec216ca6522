"""What happens in a turn, as the agent tells it and every front passes it on. `seq` counts from 1 in each turn."""

import msgspec

from ocg.protocol.messages import Usage


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
    """More of what the model thinks before it answers; it is no part of the answer, and is not kept."""

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


class TurnCompleted(Event, frozen=True, tag="turn.completed"):
    """The answer is whole and on disk."""

    text: str
    usage: Usage = Usage()


class TurnFailed(Event, frozen=True, tag="turn.failed"):
    """The turn ended without an answer; `code` is an `ocg.errors.Code`, `cancelled` among them."""

    code: str
    message: str
    hint: str = ""


TurnEvent = TurnStarted | TextDelta | ReasoningDelta | ToolCall | ToolResult | TurnCompleted | TurnFailed

LAST = (TurnCompleted, TurnFailed)
