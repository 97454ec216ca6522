"""Where APIs that call themselves compatible differ: learnt from what they refuse, once a provider."""

import hashlib
import re
from collections.abc import Set as AbstractSet
from enum import Enum
from typing import Any

_SHORT_ID = re.compile(r"[A-Za-z0-9]{9}\Z")


class Quirk(Enum):
    """How a request has to differ; the value is what the refusal of one that does not has in it."""

    # Reasoning models of OpenAI's own refuse the older name of the limit, most others know no newer one.
    NEWER_LIMIT = "max_completion_tokens"
    # Mistral sends the usage unasked, and refuses to be asked.
    NO_STREAM_OPTIONS = "stream_options"
    # Mistral wants ids of calls as it makes them, also of calls that another provider made.
    SHORT_IDS = "length of 9"


def learnt(refusal: str) -> frozenset[Quirk]:
    """Return which quirks a refusal's explanation tells of."""
    return frozenset(one for one in Quirk if one.value in refusal)


def fitted(body: dict[str, Any], quirks: AbstractSet[Quirk]) -> dict[str, Any]:
    """Return a request as somebody with these quirks takes it."""
    made = dict(body)
    if Quirk.NEWER_LIMIT in quirks:
        made["max_completion_tokens"] = made.pop("max_tokens")
    if Quirk.NO_STREAM_OPTIONS in quirks:
        made.pop("stream_options", None)
    if Quirk.SHORT_IDS in quirks:
        made["messages"] = [_with_short_ids(one) for one in made["messages"]]
    return made


def _with_short_ids(message: dict[str, Any]) -> dict[str, Any]:
    made = dict(message)
    if "tool_call_id" in made:
        made["tool_call_id"] = _short(made["tool_call_id"])
    if "tool_calls" in made:
        made["tool_calls"] = [call | {"id": _short(call["id"])} for call in made["tool_calls"]]
    return made


def _short(call_id: str) -> str:
    """Return the same short id for the same id."""
    return call_id if _SHORT_ID.match(call_id) else hashlib.sha256(call_id.encode()).hexdigest()[:9]
