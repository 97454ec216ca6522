"""The document of the events: valid, whole, and made from what is really said."""

import json
import re
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest

from ocg.gateway import asyncapi
from ocg.gateway.frames import Asked, Problem
from ocg.protocol.events import TurnEvent

SPECS = Path(__file__).parents[2] / "web/node_modules/@asyncapi/specs/schemas"


@pytest.fixture(scope="module")
def events() -> dict[str, Any]:
    """What GET /asyncapi.json answers."""
    found: dict[str, Any] = json.loads(json.dumps(asyncapi.describe()))
    return found


def test_it_is_valid_by_asyncapis_own_schema(events: dict[str, Any]) -> None:
    schema = json.loads((SPECS / "3.0.0-without-$id.json").read_text())
    jsonschema.Draft7Validator(schema).validate(events)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft7Validator(schema).validate(events | {"channels": {"chat": {"address": 3}}})


def test_every_reference_leads_somewhere(events: dict[str, Any]) -> None:
    for reference in set(re.findall(r'"#/([^"]+)"', json.dumps(events))):
        found: Any = events
        for part in reference.split("/"):
            found = found[part]


def test_every_message_and_event_is_in_it(events: dict[str, Any]) -> None:
    names = {one["name"] for one in events["components"]["messages"].values()}
    kinds = [*get_args(Asked), *get_args(TurnEvent), Problem]
    assert names == {kind.__struct_config__.tag for kind in kinds}
