"""What follows from a transcript: the next step of a turn, which calls wait for a result, who belongs to whom."""

from collections.abc import Sequence
from enum import Enum, auto

from ocg.protocol.messages import Message, ToolUse

INTERRUPTED = "error: {name} was interrupted; whether it had an effect is not known"


class Step(Enum):
    """What a turn does next."""

    ASK = auto()
    CALL = auto()
    DONE = auto()


def next_step(steps: Sequence[Message]) -> Step:
    """Derive a turn's next step: unanswered calls are run; after the user or a result the model is asked."""
    if open_calls(steps):
        return Step.CALL
    return Step.DONE if steps and steps[-1].role == "assistant" else Step.ASK


def open_calls(messages: Sequence[Message]) -> list[ToolUse]:
    """Return the calls that have no result, oldest first. A result answers the oldest open call of its id."""
    waiting: list[ToolUse] = []
    for message in messages:
        if message.role == "tool":
            at = next((at for at, call in enumerate(waiting) if call.id == message.tool_call_id), None)
            if at is not None:
                del waiting[at]
        waiting += message.tool_calls
    return waiting


def paired(history: Sequence[Message]) -> list[Message]:
    """Put every result right behind its call, as every API wants it; a result without a call is left out.

    A message may have come between the two: the user does not wait for tools.
    """
    results: dict[str, list[Message]] = {}
    for message in history:
        if message.role == "tool" and message.tool_call_id is not None:
            results.setdefault(message.tool_call_id, []).append(message)
    laid: list[Message] = []
    for message in history:
        if message.role != "tool":
            laid.append(message)
        laid.extend(results[call.id].pop(0) for call in message.tool_calls if results.get(call.id))
    return laid


def exchanges(messages: Sequence[Message]) -> list[list[Message]]:
    """Part messages into exchanges, each beginning with what the user said."""
    parted: list[list[Message]] = []
    for message in messages:
        if message.role == "user" or not parted:
            parted.append([])
        parted[-1].append(message)
    return parted
