"""docs/api.md has every endpoint, in its group and with its scope, as the gateway's table has it."""

from itertools import groupby
from pathlib import Path

import pytest

from ocg.gateway.app import endpoints
from ocg.gateway.description import TAGS
from ocg.lifecycle.endpoints import Endpoint
from tests.gateway_parts import idle_parts

PAGE = Path(__file__).parents[2] / "docs/api.md"


def section(tag: str, about: str, listed: list[Endpoint]) -> str:
    """What the page has of a group."""
    rows = [f"| `{one.method} {one.template}` | {one.summary} | {_scope(one)} |" for one in listed]
    return "\n".join([f"### {tag}", "", about, "", "| | | scope |", "|---|---|---|", *rows, ""])


def _scope(one: Endpoint) -> str:
    return "none" if one.is_open else f"`{one.scope}`"


ORDER = [name for name, _ in TAGS]
LISTED = {
    tag: list(group)
    for tag, group in groupby(
        sorted(endpoints(idle_parts()), key=lambda one: ORDER.index(one.tag)), key=lambda one: one.tag
    )
}


@pytest.mark.parametrize(("tag", "about"), TAGS, ids=ORDER)
def test_a_group_is_on_the_page_as_it_is(tag: str, about: str) -> None:
    wanted = section(tag, about, LISTED[tag])
    assert wanted in PAGE.read_text(), f"docs/api.md lacks:\n\n{wanted}"


def test_the_page_lists_nothing_else() -> None:
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| `") and " /" in line.split("`")[1]]
    assert len(rows) == sum(map(len, LISTED.values()))
