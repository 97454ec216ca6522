"""The form that an answer must have: told to a model in words, or a schema as an API takes it."""

from typing import Any

import msgspec

from ocg.protocol.replies import JsonForm

# A schema that goes deeper is passed on as it is, for the API to judge.
_MAX_DEPTH = 64
_BY_NAME = frozenset({"properties", "$defs", "definitions"})
_IN_A_LIST = frozenset({"anyOf", "allOf", "oneOf"})
# What Anthropic refuses in a schema (platform.claude.com/docs/en/build-with-claude/structured-outputs).
_BOUNDS = frozenset(
    {
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "multipleOf",
        "minLength",
        "maxLength",
        "minItems",
        "maxItems",
        "uniqueItems",
    }
)


def told(form: JsonForm) -> str:
    """Ask for a form in words."""
    if form.schema is None:
        return "Answer with one JSON object and nothing else."
    schema = msgspec.json.encode(form.schema).decode()
    return f"Answer with JSON and nothing else; it must fit this JSON schema: {schema}"


def closed(schema: Any, depth: int = 0) -> Any:
    """Return a schema as Anthropic takes it: no object has further properties, and bounds are told in words."""
    if not isinstance(schema, dict) or depth > _MAX_DEPTH:
        return schema
    made = {key: _closed(key, value, depth + 1) for key, value in schema.items() if key not in _BOUNDS}
    if schema.get("type") == "object" or "properties" in schema:
        made["additionalProperties"] = False
    if bounds := ", ".join(f"{key} {schema[key]}" for key in schema if key in _BOUNDS):
        said = schema.get("description")
        made["description"] = f"{said} ({bounds})" if said else bounds
    return made


def _closed(key: str, value: Any, depth: int) -> Any:
    if key in _BY_NAME and isinstance(value, dict):
        return {name: closed(one, depth) for name, one in value.items()}
    if key in _IN_A_LIST and isinstance(value, list):
        return [closed(one, depth) for one in value]
    return closed(value, depth) if key == "items" else value
