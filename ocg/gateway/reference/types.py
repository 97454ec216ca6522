"""JSON schemas as HTML: a type in a line, an object as a table of its fields."""

import json
from collections.abc import Mapping
from html import escape
from typing import Any

Schema = Mapping[str, Any]

_BOUNDS = (
    ("minimum", "≥ {}"), ("exclusiveMinimum", "> {}"), ("maximum", "≤ {}"), ("exclusiveMaximum", "< {}"),
    ("minLength", "≥ {} characters"), ("maxLength", "≤ {} characters"),
    ("minItems", "≥ {} items"), ("maxItems", "≤ {} items"),
    ("contentEncoding", "{}"),
)  # fmt: skip


def name_of(schema: Schema) -> str:
    """Return the name of the schema that is referred to, or nothing."""
    return str(schema.get("$ref", "")).rpartition("/")[2]


def line(schema: Schema) -> str:
    """Write a type in a line; what is named is linked to."""
    if name := name_of(schema):
        return f'<a class="type" href="#type-{escape(name)}">{escape(name.rpartition(".")[2])}</a>'
    if "anyOf" in schema:
        return " | ".join(line(one) for one in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        return " | ".join(_code(json.dumps(one)) for one in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        return f"array of {line(schema.get('items', {}))}{_bounds(schema)}"
    if schema.get("type") == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {line(schema['additionalProperties'])}"
    return f"{escape(str(schema.get('type', 'anything')))}{_bounds(schema)}"


def fields(schema: Schema) -> str:
    """Write the fields of an object as a table, those that are required first."""
    properties = schema.get("properties", {})
    if not properties:
        return f"<p>{line(schema)}</p>"
    required = schema.get("required", ())
    ordered = sorted(properties, key=lambda name: name not in required)
    rows = "".join(
        f"<tr><td>{_code(name)}{'' if name in required else ' <small>optional</small>'}</td>"
        f"<td>{line(properties[name])}{_default(properties[name])}</td></tr>"
        for name in ordered
    )
    return table(("Field", "Type"), rows)


def folded(anchor: str, summary: str, content: str) -> str:
    """Write what is shown when it is asked for, or linked to: a browser opens what the anchor is in."""
    inner = f'<a id="{escape(anchor)}" class="anchor"></a>{content}'
    return f'<details class="operation"><summary>{summary}</summary>{inner}</details>'


def table(heads: tuple[str, ...], rows: str) -> str:
    """Write a table that a narrow screen can scroll by itself."""
    head = "".join(f"<th>{one}</th>" for one in heads)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def example(schema: Schema, schemas: Mapping[str, Schema]) -> Any:
    """Make the least value that fits a schema."""
    found = schemas.get(name_of(schema), schema)
    if "anyOf" in found:
        return example(found["anyOf"][0], schemas)
    if "enum" in found or "const" in found:
        return found.get("const", found.get("enum", [None])[0])
    match found.get("type"):
        case "object":
            return {key: example(found["properties"][key], schemas) for key in found.get("required", ())}
        case "array":
            return [example(found.get("items", {}), schemas)] * bool(found.get("minItems"))
        case kind:
            return {"integer": found.get("minimum", 0), "number": 0, "boolean": False}.get(str(kind), "…")


def _bounds(schema: Schema) -> str:
    found = [escape(text.format(schema[key])) for key, text in _BOUNDS if key in schema]
    return f" <small>{', '.join(found)}</small>" if found else ""


def _default(schema: Schema) -> str:
    default = schema.get("default")
    is_said = default not in (None, "", []) and not isinstance(default, dict)
    return f" <small>default {_code(json.dumps(default))}</small>" if is_said else ""


def _code(text: str) -> str:
    return f"<code>{escape(text)}</code>"
