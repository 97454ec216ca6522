"""The gateway's documents: valid, whole, and made from what really answers."""

import json
import re
from typing import Any

import jsonschema
import pytest

from ocg.gateway import app as application
from ocg.gateway.app import Parts
from ocg.gateway.description import TAGS, describe
from ocg.lifecycle.endpoints import Endpoint
from tests.gateway_parts import idle_parts

SCOPES = {"chat", "read", "admin"}


@pytest.fixture(scope="module")
def parts() -> Parts:
    """Parts that are never asked."""
    return idle_parts()


@pytest.fixture(scope="module")
def endpoints(parts: Parts) -> tuple[Endpoint, ...]:
    """The table."""
    return application.endpoints(parts)


@pytest.fixture(scope="module")
def document(endpoints: tuple[Endpoint, ...]) -> dict[str, Any]:
    """What GET /openapi.json answers."""
    found: dict[str, Any] = json.loads(json.dumps(describe(endpoints)))
    return found


def _operations(document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [(path, one) for path, each in document["paths"].items() for one in each.values()]


def test_every_route_but_the_pages_is_described_and_nothing_else(parts: Parts, document: dict[str, Any]) -> None:
    app: Any = application.create_app(parts)
    while not hasattr(app, "routes"):
        app = app._app
    routes = {
        (re.sub(r":\w+}", "}", route.path), method.lower())
        for route in app.routes
        for method in getattr(route, "methods", set()) - {"HEAD"}
    }
    page = {("/", "get"), ("/assets/{name}", "get"), ("/favicon.ico", "get")}
    assert routes - page == {(path, method) for path, each in document["paths"].items() for method in each}


def test_schemas_are_valid_and_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    references = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)))
    assert references <= set(document["components"]["schemas"])
    # Of two structs with one name msgspec tells the modules: those of the dialects have names of their own.
    assert [name for name in document["components"]["schemas"] if name.startswith("ocg.gateway.")] == []


def test_each_operation_has_a_name_of_its_own_a_group_and_its_parameters(document: dict[str, Any]) -> None:
    operations = _operations(document)
    names = [one["operationId"] for _, one in operations]
    assert len(names) == len(set(names))
    groups = [name for name, _ in TAGS]
    for path, one in operations:
        assert one["summary"], path
        assert one["tags"][0] in groups, path
        in_path = [each["name"] for each in one.get("parameters", ()) if each["in"] == "path"]
        assert in_path == re.findall(r"{(\w+)}", path)


def test_what_is_not_open_says_which_scope_it_needs(document: dict[str, Any]) -> None:
    for path, one in _operations(document):
        if one.get("security") != []:
            ((scope,),) = (each["token"] for each in one["security"])
            assert scope in SCOPES, path
            assert {"401", "403"} <= set(one["responses"]), path


def test_streams_answers_without_a_body_and_other_parameters_are_told(document: dict[str, Any]) -> None:
    paths = document["paths"]
    events = paths["/v1/turns/{id}/events"]["get"]
    assert [(one["name"], one["in"]) for one in events["parameters"]] == [
        ("id", "path"), ("after", "query"), ("Last-Event-ID", "header"),
    ]  # fmt: skip
    assert set(events["responses"]["200"]["content"]) == {"text/event-stream"}
    assert set(paths["/v1/chat/completions"]["post"]["responses"]["200"]["content"]) == {
        "application/json",
        "text/event-stream",
    }
    assert "content" not in paths["/login"]["post"]["responses"]["204"]
    unwell = paths["/health"]["get"]["responses"]["503"]["content"]["application/json"]["schema"]
    assert unwell == {"$ref": "#/components/schemas/SystemHealth"}
