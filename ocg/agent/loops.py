"""A model that goes in circles: the same call, again and again, with the same result."""

from collections.abc import Sequence
from typing import Any

import msgspec

from ocg.protocol.messages import Message, ToolUse

_WINDOW = 16  # results that are looked back on; what is further away is no circle
_TOLD_AT = 3
STOPPED_AT = 5
_NOTE = "\n\n[This is the same call as before, for the {count}th time, with the same result. Go on without it.]"


def count(steps: Sequence[Message], call: ToolUse, content: str) -> int:
    """How often a call had this result of late, this time included; the order of its arguments does not matter."""
    calls = {use.id: use for step in steps for use in step.tool_calls}
    results = [step for step in steps if step.role == "tool" and step.tool_call_id in calls][-_WINDOW:]
    same = (one for one in results if _key(calls[str(one.tool_call_id)]) == _key(call))
    return 1 + sum(_plain(one.content) == content for one in same)


def noted(content: str, times: int) -> str:
    """Tell the model, once, what it is doing."""
    return content + _NOTE.format(count=times) if times == _TOLD_AT else content


def _plain(content: str) -> str:
    return content.removesuffix(_NOTE.format(count=_TOLD_AT))


def _key(call: ToolUse) -> tuple[str, Any]:
    try:
        return call.name, msgspec.json.encode(msgspec.json.decode(call.arguments), order="deterministic")
    except (msgspec.DecodeError, RecursionError):  # half of it, or lists in lists without end
        return call.name, call.arguments
