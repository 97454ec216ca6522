"""The page that shows the documents: it has all of them, links that lead somewhere, and nothing that runs."""

import json
from html.parser import HTMLParser
from typing import Any

import pytest

from ocg.gateway import asyncapi
from ocg.gateway.app import endpoints
from ocg.gateway.description import describe
from ocg.gateway.reference.page import STYLE_PATH, written
from ocg.gateway.reference.types import example, line
from tests.gateway_parts import idle_parts

VOID = {"meta", "link", "wbr"}


class Page(HTMLParser):
    """What is in it; ends that fit no beginning are an error."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.attributes: set[str] = set()
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        for name, value in attrs:
            if name in {"id", "href"}:
                (self.ids if name == "id" else self.links).append(value or "")
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag


@pytest.fixture(scope="module")
def documents() -> tuple[dict[str, Any], dict[str, Any]]:
    """Both, as they are served."""
    openapi, events = describe(endpoints(idle_parts())), asyncapi.describe()
    return json.loads(json.dumps(openapi)), json.loads(json.dumps(events))


@pytest.fixture(scope="module")
def page(documents: tuple[dict[str, Any], dict[str, Any]]) -> Page:
    """The page."""
    return Page(written(*documents))


def test_it_has_every_operation_message_and_type_once(
    page: Page, documents: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    openapi, events = documents
    wanted = {one["operationId"] for each in openapi["paths"].values() for one in each.values()}
    wanted |= {f"message-{name}" for name in events["components"]["messages"]}
    wanted |= {f"channel-{name}" for name in events["channels"]}
    wanted |= {f"type-{name}" for each in documents for name in each["components"]["schemas"]}
    assert wanted <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))


def test_every_link_leads_somewhere_here(page: Page) -> None:
    within = {link[1:] for link in page.links if link.startswith("#")}
    assert within <= set(page.ids)
    assert {link for link in page.links if not link.startswith("#")} == {
        "/", "/docs", "/openapi.json", "/asyncapi.json", STYLE_PATH,
    }  # fmt: skip


def test_nothing_in_it_runs_or_has_a_style_of_its_own(page: Page) -> None:
    assert not {"script", "style", "img", "iframe", "form"} & set(page.tags)
    assert not {one for one in page.attributes if one == "style" or one.startswith("on")}


def test_what_stands_in_a_document_becomes_no_html() -> None:
    assert "<b>" not in line({"type": "<b>"})
    assert "<b>" not in line({"$ref": "#/components/schemas/<b>"})
    assert "<b>" not in line({"const": "<b>"})


def test_an_example_has_what_is_required_and_no_more() -> None:
    schemas = {
        "Cat": {"type": "object", "properties": {"name": {"type": "string"}, "age": {}}, "required": ["name"]},
    }
    one = {"$ref": "#/components/schemas/Cat"}
    assert example({"anyOf": [one, {"type": "null"}]}, schemas) == {"name": "…"}
    assert example({"type": "array", "minItems": 1, "items": one}, schemas) == [{"name": "…"}]
    assert example({"type": "array", "items": one}, schemas) == []
    assert example({"type": "integer", "minimum": 3}, schemas) == 3
    assert example({"enum": ["a", "b"]}, schemas) == "a"
