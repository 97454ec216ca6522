"""What a tool is."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import msgspec

from ocg.agent.live import LiveTurn
from ocg.agent.marks import marked
from ocg.agent.providers.base import ToolSpec
from ocg.agent.rows import Turn
from ocg.errors import OcgError
from ocg.protocol import wire
from ocg.protocol.approvals import Decision

_TELLS_NOTHING = {"title", "minLength", "maxLength"}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a call comes from: its turn, and its id there. `live` takes events that others are to see at once."""

    turn: Turn
    call_id: str
    live: LiveTurn


class Tool(Protocol):
    """Something the model can do. `arguments` is a msgspec struct whose fields are described by their `Meta`.

    For a tool of somebody else's it is a JSON schema, which whoever does the call holds it against; it is read into a
    dict.

    `default` is whether it is run where no rule of the user's says (ocg/agent/policy). Rules may speak of an argument
    `command`, which is a line for a shell, and of one `path`, or `paths` (see ocg/protocol/tooling/files.py). What it
    returns, or fails with, is marked where it `is_outside`: not from the user, nor from ourselves (ocg/agent/marks.py).
    """

    name: str
    description: str
    default: Decision
    timeout_s: float
    is_repeatable: bool
    is_outside: bool

    @property
    def arguments(self) -> type[msgspec.Struct] | dict[str, Any]:
        """What a call is read into."""

    async def run(self, arguments: Any, place: Place) -> str:
        """Do it and return what the model is told. Raises OcgError, which the model is told as well."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a call."""

    content: str
    is_error: bool = False


def spec(tool: Tool) -> ToolSpec:
    """Describe a tool to the model."""
    if isinstance(tool.arguments, dict):
        return ToolSpec(tool.name, tool.description, tool.arguments)
    return ToolSpec(tool.name, tool.description, _schema(tool.arguments))


@lru_cache(maxsize=64)  # each prompt needs all of them: 2 ms of the event loop's
def _schema(arguments: type[msgspec.Struct]) -> dict[str, Any]:
    """Describe arguments to the model; nobody changes what is returned."""
    (schema,), definitions = msgspec.json.schema_components([arguments], ref_template="#/$defs/{name}")
    found: dict[str, Any] = _lean(definitions.pop(arguments.__name__, schema))
    found.pop("description", None)  # the tool has its own
    tag = arguments.__struct_config__.tag_field  # ours, and not for the model to say
    found["properties"] = {key: value for key, value in found.get("properties", {}).items() if key != tag}
    found["required"] = [key for key in found.get("required", []) if key != tag]
    definitions = _lean(definitions, are_names=True)
    # What it refers to comes along: a reference to nothing is refused by some APIs, and means anything to a grammar.
    return found | ({"$defs": definitions} if definitions else {})


def _lean(schema: Any, *, are_names: bool = False) -> Any:
    """Leave out what tells a model nothing: each prompt has it all. Names of arguments stay, whatever they are."""
    if isinstance(schema, list):
        return [_lean(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: one for key, one in schema.items() if are_names or key not in _TELLS_NOTHING}
    return {key: _lean(one, are_names=not are_names and key == "properties") for key, one in kept.items()}


def parse(tool: Tool, text: str) -> Any:
    """Read a call's arguments. Raises INVALID_REQUEST saying what is wrong and what was expected."""
    try:
        kind = dict[str, Any] if isinstance(tool.arguments, dict) else tool.arguments
        return wire.decode(kind, text or "{}")
    except OcgError as error:
        wanted = msgspec.json.encode(spec(tool).parameters.get("properties", {})).decode()
        why = error.message.replace("the request does not fit", "the arguments do not fit")
        why = why.replace("the body is not JSON", "the arguments are not JSON")
        raise OcgError(error.code, why, f"call {tool.name} again with {wanted}") from None


def failed(error: OcgError, *, source: str = "") -> Outcome:
    """Tell the model what went wrong; what a source outside says of it is marked."""
    if source:
        error = OcgError(error.code, marked(error.message, source), error.hint)
    return Outcome(f"error: {error}", is_error=True)
