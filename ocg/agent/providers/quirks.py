"""Where APIs that call themselves compatible differ: learnt from what they refuse, once a provider."""

import hashlib
import re
from collections.abc import AsyncGenerator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import aclosing
from enum import Enum
from typing import Any

from ocg.agent.providers.base import Piece
from ocg.agent.providers.forms import told
from ocg.agent.providers.refusal import RefusedError
from ocg.agent.providers.transport import Transport
from ocg.protocol.replies import JsonForm

_SHORT_ID = re.compile(r"[A-Za-z0-9]{9}\Z")
# How a refusal says that it does not want something, rather than that it wants it otherwise.
_UNWANTED = "support|deprecat|unavailable|permitted|unknown|unrecogni|unexpected|forbid|may only"


def _unwanted(name: str) -> str:
    return rf"\b{name}\b.{{0,80}}({_UNWANTED})|({_UNWANTED}).{{0,60}}\b{name}\b"


class Quirk(Enum):
    """How a request has to differ: what it then must not have, and what the refusal of one that has it looks like."""

    # Reasoning models of OpenAI's own refuse the older name of the limit, most others know no newer one.
    NEWER_LIMIT = "max_tokens", "max_completion_tokens"
    # Mistral sends the usage unasked, and refuses to be asked.
    NO_STREAM_OPTIONS = "stream_options", "stream_options"
    # Mistral wants ids of calls as it makes them, also of calls that another provider made.
    SHORT_IDS = "messages", "length of 9"
    # Models that reason take no sampling, older servers do not know all of it. Where to stop is seen to in any case.
    NO_TOP_P = "top_p", _unwanted("top_p") + "|top_p.{0,9} cannot both"
    NO_TEMPERATURE = "temperature", _unwanted("temperature")
    NO_SEED = "seed", _unwanted("seed")
    NO_STOP = "stop", _unwanted("stop")
    NO_PARALLEL = "parallel_tool_calls", _unwanted("parallel_tool_calls")
    # A form that cannot be forced is asked for in words.
    NO_SCHEMA = "response_format", _unwanted("response_format")
    NO_OUTPUT_CONFIG = "output_config", _unwanted("output_(config|format)")

    def __init__(self, name: str, refusal: str) -> None:
        self.param = name
        self.refusal = re.compile(refusal, re.IGNORECASE)


class Quirks:
    """Those of one provider."""

    def __init__(self) -> None:
        self._known: frozenset[Quirk] = frozenset()

    async def reply(self, transport: Transport, body: Mapping[str, Any]) -> AsyncGenerator[Piece, None]:
        """Ask; a request whose refusal teaches something is made anew, as it is wanted."""
        for _ in range(len(Quirk) + 1):
            known, is_shown = self._known, False
            fitting = fitted(body, known)
            try:
                async with aclosing(transport.reply(fitting)) as pieces:
                    async for piece in pieces:
                        is_shown = True
                        yield piece
            except RefusedError as error:
                new = learnt(error.message, fitting) - known
                if is_shown or not new:
                    raise
                self._known |= new
            else:
                return


def learnt(refusal: str, body: Mapping[str, Any]) -> frozenset[Quirk]:
    """Return which quirks the refusal of a request tells of."""
    return frozenset(one for one in Quirk if one.param in body and one.refusal.search(refusal))


def fitted(body: Mapping[str, Any], quirks: AbstractSet[Quirk]) -> dict[str, Any]:
    """Return a request as somebody with these quirks takes it."""
    made = dict(body)
    if Quirk.NEWER_LIMIT in quirks:
        made["max_completion_tokens"] = made.pop("max_tokens")
    if Quirk.SHORT_IDS in quirks:
        made["messages"] = [_with_short_ids(one) for one in made["messages"]]
    for quirk in _LEFT_OUT & quirks:
        made.pop(quirk.param, None)
    if Quirk.NO_SCHEMA in quirks and made.get("response_format", {}).get("type") == "json_schema":
        schema = made["response_format"]["json_schema"]["schema"]
        made |= {"response_format": {"type": "json_object"}, "messages": _told(made["messages"], schema)}
    if Quirk.NO_OUTPUT_CONFIG in quirks and "output_config" in made:
        schema = made.pop("output_config")["format"]["schema"]
        made["system"] = [*made.get("system", ()), {"type": "text", "text": told(JsonForm(schema=schema))}]
    return made


_LEFT_OUT = frozenset(
    {Quirk.NO_STREAM_OPTIONS, Quirk.NO_TOP_P, Quirk.NO_TEMPERATURE, Quirk.NO_SEED, Quirk.NO_STOP, Quirk.NO_PARALLEL}
)


def _told(messages: list[dict[str, Any]], schema: dict[str, Any]) -> list[dict[str, Any]]:
    """Tell a schema in words, behind what stands before the conversation."""
    before = [one["content"] for one in messages[:1] if one["role"] == "system"]
    words = "\n\n".join([*before, told(JsonForm(schema=schema))])
    return [{"role": "system", "content": words}, *messages[len(before) :]]


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
