"""The OpenAPI 3.1 document of a table of endpoints (spec.openapis.org/oas/v3.1.1)."""

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from ocg.lifecycle.endpoints import NDJSON, Endpoint
from ocg.protocol import wire

REFERENCE = "#/components/schemas/{name}"


def document(
    endpoints: Sequence[Endpoint], *, title: str, version: str, description: str, tags: Sequence[tuple[str, str]] = ()
) -> dict[str, Any]:
    """Make it; `tags` are the groups in their order, and what is said of each."""
    # By identity: not every type can be a key.
    kinds = {id(kind): kind for one in endpoints for kind in one.kinds}
    schemas, components = msgspec.json.schema_components(list(kinds.values()), ref_template=REFERENCE)
    known = dict(zip(kinds, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for one in endpoints:
        paths.setdefault(one.template, {})[one.method.lower()] = _operation(one, known)
    made = {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version, "description": description},
        "security": [{"token": []}],
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
    }
    return made | ({"tags": [{"name": name, "description": about} for name, about in tags]} if tags else {})


def _operation(one: Endpoint, schemas: dict[int, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {
        "operationId": one.handler.__name__.strip("_"),
        "summary": one.summary,
        "responses": _answer(one, schemas) | _errors(one, schemas),
    }
    if one.tag:
        made["tags"] = [one.tag]
    if one.is_open:
        made["security"] = []
    elif one.scope:
        made["security"] = [{"token": [one.scope]}]
    if parameters := _parameters(one, schemas):
        made["parameters"] = parameters
    if one.takes is not None:
        body = {wire.JSON: {"schema": schemas[id(one.takes)]}}
        if one.lines is not None:
            body[NDJSON] = {"schema": schemas[id(one.lines)]}
        made["requestBody"] = {"required": True, "content": body}
    return made


def _answer(one: Endpoint, schemas: dict[int, Any]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    if one.gives is not None:
        content[one.media] = {"schema": schemas[id(one.gives)]}
    if one.streams is not None:
        content[one.flow] = {"schema": _line(one, schemas) if one.flow == NDJSON else _event(one, schemas)}
    if not content:
        return {"204": {"description": "Done."}}
    return {"200": {"description": "Done.", "content": content}}


def _line(one: Endpoint, schemas: dict[int, Any]) -> dict[str, Any]:
    """Describe each line of a stream, the last of which may be what failed in the middle."""
    return {"anyOf": [schemas[id(one.streams)], schemas[id(one.failure)]]}


def _event(one: Endpoint, schemas: dict[int, Any]) -> dict[str, Any]:
    """Describe each event of a stream, as OpenAPI 3.2 does in itemSchema: what fails in the middle is one as well."""
    data = [
        {"type": "string", "contentMediaType": wire.JSON, "contentSchema": schemas[id(kind)]}
        for kind in (one.streams, one.failure)
    ]
    last = [{"type": "string", "const": one.last}] if one.last else []
    return {"type": "object", "properties": {"data": {"anyOf": [*last, *data]}}, "required": ["data"]}


def _parameters(one: Endpoint, schemas: dict[int, Any]) -> list[dict[str, Any]]:
    names = re.findall(r"{(\w+)}", one.template)
    in_path = [{"name": name, "in": "path", "required": True, "schema": schemas[id(one.named)]} for name in names]
    others = [
        {"name": each.name, "in": each.place, "description": each.about, "schema": schemas[id(each.kind)]}
        for each in one.parameters
    ]
    return [*in_path, *others]


def _errors(one: Endpoint, schemas: dict[int, Any]) -> dict[str, Any]:
    by_status: dict[str, list[str]] = {}
    for code in sorted(one.codes):
        by_status.setdefault(str(one.status(code)), []).append(code.value)
    body = {wire.JSON: {"schema": schemas[id(one.failure)]}}
    made = {status: {"description": ", ".join(codes), "content": body} for status, codes in sorted(by_status.items())}
    if one.unwell is not None:
        made["503"] = {"description": "Not well.", "content": {wire.JSON: {"schema": schemas[id(one.unwell)]}}}
    return made
