"""The AsyncAPI 3.0 document of the WebSocket and of the streams of events (asyncapi.com/docs/reference/specification).

`send` and `receive` are the gateway's: it receives what clients ask, and sends what happens.
"""

import inspect
from typing import Any, get_args

import msgspec

from ocg import __version__
from ocg.gateway.frames import Asked, Problem
from ocg.protocol import sse, wire
from ocg.protocol.events import TurnEvent

_ABOUT = """What happens in a turn, as it happens: over the WebSocket at /ws/chat, many turns on one socket, and as
server-sent events of one turn over HTTP. A client that was cut off asks for the same message_id, or follows the turn
by its id, with the `seq` of the last event it has seen as `after`, and hears exactly the rest."""
# Where the gateway listens unless it is told otherwise.
_HOST = "127.0.0.1:55003"
_ASKED, _EVENTS = get_args(Asked), get_args(TurnEvent)
_STREAMS = {
    "startTurn": ("/v1/turns", "A POST starts a turn, or joins it, and is answered by its events."),
    "followTurn": ("/v1/turns/{id}/events", "A GET is answered by a turn's events, from any number on."),
}


def describe() -> dict[str, Any]:
    """Make the document."""
    kinds = (*_ASKED, *_EVENTS, Problem, wire.ErrorBody)
    payloads, schemas = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    messages = {kind.__name__: _message(kind, payload) for kind, payload in zip(kinds, payloads, strict=True)}
    token = {"$ref": "#/components/securitySchemes/token"}
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "OCG's events", "version": __version__, "description": _ABOUT},
        "defaultContentType": wire.JSON,
        "servers": {one: {"host": _HOST, "protocol": one, "security": [token]} for one in ("ws", "http")},
        "channels": {"chat": _chat(), **{name: _stream(*about) for name, about in _STREAMS.items()}},
        "operations": _operations(),
        "components": {
            "messages": messages,
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _message(kind: type[msgspec.Struct], payload: dict[str, Any]) -> dict[str, Any]:
    name = kind.__struct_config__.tag or "error"
    return {"name": name, "title": kind.__name__, "summary": inspect.cleandoc(kind.__doc__ or ""), "payload": payload}


def _chat() -> dict[str, Any]:
    return {
        "address": "/ws/chat",
        "title": "Chat",
        "description": "One JSON text a message, either way; at most 16 turns at once. Closing it ends no turn.",
        "servers": [{"$ref": "#/servers/ws"}],
        "messages": _known(*_ASKED, *_EVENTS, Problem),
    }


def _stream(address: str, about: str) -> dict[str, Any]:
    made: dict[str, Any] = {
        "address": address,
        "title": "A turn's events",
        "description": f"{about} They are of the type {sse.CONTENT_TYPE}; an event's id is its number.",
        "servers": [{"$ref": "#/servers/http"}],
        "messages": _known(*_EVENTS, wire.ErrorBody),
    }
    return made | ({"parameters": {"id": {"description": "The turn's id."}}} if "{id}" in address else {})


def _operations() -> dict[str, Any]:
    told = {name: _operation("send", name, *_EVENTS, wire.ErrorBody) for name in _STREAMS}
    asked = _operation("receive", "chat", *_ASKED)
    return {"ask": asked, "tell": _operation("send", "chat", *_EVENTS, Problem), **told}


def _operation(action: str, channel: str, *kinds: type) -> dict[str, Any]:
    where = f"#/channels/{channel}"
    messages = [{"$ref": f"{where}/messages/{kind.__name__}"} for kind in kinds]
    return {"action": action, "channel": {"$ref": where}, "messages": messages}


def _known(*kinds: type) -> dict[str, Any]:
    return {kind.__name__: {"$ref": f"#/components/messages/{kind.__name__}"} for kind in kinds}
