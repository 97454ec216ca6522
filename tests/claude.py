"""Scripts in which the scripted model speaks Anthropic's Messages API, well or badly; see tests/provider.py."""

import json
from typing import Any

from tests.provider import Exchange, Script


def send(exchange: Exchange, kind: str, **fields: Any) -> None:
    """Send an event."""
    data = json.dumps({"type": kind} | fields)
    exchange.raw(f"event: {kind}\ndata: {data}\n\n".encode())


def start(exchange: Exchange) -> None:
    """Begin an answer."""
    exchange.begin()
    usage = {"input_tokens": 7, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 0, "output_tokens": 1}
    send(exchange, "message_start", message={"id": "msg", "role": "assistant", "content": [], "usage": usage})


def end(exchange: Exchange, stop_reason: str = "end_turn") -> None:
    """End an answer well."""
    send(exchange, "message_delta", delta={"stop_reason": stop_reason}, usage={"output_tokens": 5})
    send(exchange, "message_stop")


def block(exchange: Exchange, index: int, begun: dict[str, Any], *deltas: dict[str, Any]) -> None:
    """Send a whole block."""
    send(exchange, "content_block_start", index=index, content_block=begun)
    for delta in deltas:
        send(exchange, "content_block_delta", index=index, delta=delta)
    send(exchange, "content_block_stop", index=index)


def text(exchange: Exchange, index: int, *words: str) -> None:
    """Send a block of text."""
    block(exchange, index, {"type": "text", "text": ""}, *({"type": "text_delta", "text": one} for one in words))


def says(words: str) -> Script:
    """Answer a text, in two pieces."""

    def script(exchange: Exchange) -> None:
        start(exchange)
        half = len(words) // 2
        text(exchange, 0, words[:half], words[half:])
        end(exchange)

    return script


def calls(name: str, arguments: str, *, thought: str = "", stop_reason: str = "tool_use") -> Script:
    """Call a tool, the arguments in two halves, perhaps after some thinking."""

    def script(exchange: Exchange) -> None:
        start(exchange)
        if thought:
            begun = {"type": "thinking", "thinking": "", "signature": ""}
            deltas = ({"type": "thinking_delta", "thinking": thought}, {"type": "signature_delta", "signature": "SIG"})
            block(exchange, 0, begun, *deltas)
        half = len(arguments) // 2
        parts = ({"type": "input_json_delta", "partial_json": one} for one in (arguments[:half], arguments[half:]))
        block(exchange, 1, {"type": "tool_use", "id": "toolu_1", "name": name, "input": {}}, *parts)
        end(exchange, stop_reason)

    return script


def fails(status: int, kind: str, message: str, **headers: str) -> Script:
    """Answer with an error."""
    body = {"type": "error", "error": {"type": kind, "message": message}}
    return lambda exchange: exchange.error(status, body, **headers)


def fails_within(kind: str, *, after: str = "") -> Script:
    """Begin well, then send an error."""

    def script(exchange: Exchange) -> None:
        start(exchange)
        if after:
            send(exchange, "content_block_start", index=0, content_block={"type": "text", "text": ""})
            send(exchange, "content_block_delta", index=0, delta={"type": "text_delta", "text": after})
        send(exchange, "error", error={"type": kind, "message": "Overloaded"})

    return script


def breaks_in_a_call(exchange: Exchange) -> None:
    """Begin a tool call and close the connection."""
    start(exchange)
    begun = {"type": "tool_use", "id": "toolu_1", "name": "time", "input": {}}
    send(exchange, "content_block_start", index=0, content_block=begun)
    send(exchange, "content_block_delta", index=0, delta={"type": "input_json_delta", "partial_json": '{"zo'})


def never_ends(exchange: Exchange) -> None:
    """Talk on and on."""
    start(exchange)
    send(exchange, "content_block_start", index=0, content_block={"type": "text", "text": ""})
    while not exchange.closing.wait(0.01):
        send(exchange, "content_block_delta", index=0, delta={"type": "text_delta", "text": "and on "})
