"""Searching the web: SearXNG and Brave as they are described, well and badly answered, and what is said of it."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ocg import config
from ocg.agent.tools import Toolbox
from ocg.agent.tools.base import Outcome
from ocg.agent.tools.web.search import searches
from ocg.agent.tools.web.search.base import Engine
from ocg.agent.tools.web.search.brave import Brave
from ocg.agent.tools.web.search.searxng import Searxng
from ocg.agent.tools.web.search.tool import WebSearchTool
from ocg.config import AgentSettings
from ocg.protocol.messages import ToolUse
from tests.agent_parts import opened_place
from tests.website import Answer, Site, page, site

_KEY = "brave-secret-key"
_SEARXNG = {
    "query": "tea",
    "number_of_results": 0,
    "results": [
        {"url": "https://a.example/", "title": "A", "content": "about\n tea", "engine": "x", "score": 1.0},
        {"url": None, "title": "", "template": "keyvalue.html", "kvmap": {"tea": "a plant"}},
        {"url": "https://b.example/", "title": "B", "content": None},
        {"url": "https://c.example/", "title": "C"},
    ],
    "answers": [],
}
_BRAVE = {
    "type": "search",
    "query": {"original": "tea"},
    "web": {
        "type": "search",
        "results": [{"title": "A &amp; B", "url": "https://a.example/", "description": "on <strong>tea</strong>"}],
    },
}


def settings(**texts: str) -> AgentSettings:
    return config.load(AgentSettings, environ=texts)


async def searched(tmp_path: Path, engine: Engine, **arguments: object) -> Outcome:
    """Have the tool called as the model calls it."""
    call = ToolUse(id="c", name="web_search", arguments=json.dumps({"query": "tea & cake"} | arguments))
    async with opened_place(tmp_path) as place:
        outcome = await Toolbox([WebSearchTool(engine)]).run(call, place)
        return replace(outcome, content=re.sub(r"\n?</?outside-[^>]*>\n?", "", outcome.content))


def searxng(server: Site) -> Engine:
    return Searxng(settings(OCG_SEARCH_URL=server.url("/")))


def brave(server: Site) -> Engine:
    return Brave(settings(BRAVE_API_KEY=_KEY), server.url(""))


Make = Callable[[Site], Engine]
_PATHS: dict[Make, str] = {searxng: "/search", brave: "/res/v1/web/search"}
both = pytest.mark.parametrize("make", [searxng, brave])


async def test_searxng_finds_titles_addresses_and_words(tmp_path: Path) -> None:
    with site({"/search": page(json.dumps(_SEARXNG), "application/json")}) as server:
        outcome = await searched(tmp_path, searxng(server), limit=2)
        assert outcome == Outcome("A\nhttps://a.example/\nabout tea\n\nB\nhttps://b.example/")
        assert server.asked == ["/search?q=tea+%26+cake&format=json"]


async def test_brave_finds_them_by_a_key_that_is_in_no_address(tmp_path: Path) -> None:
    with site({"/res/v1/web/search": page(json.dumps(_BRAVE), "application/json")}) as server:
        outcome = await searched(tmp_path, brave(server))
        assert outcome == Outcome("A & B\nhttps://a.example/\non tea")
        assert server.asked == ["/res/v1/web/search?q=tea+%26+cake&count=8"]
        assert server.headers[0]["X-Subscription-Token"] == _KEY


@both
async def test_nothing_found_is_said(tmp_path: Path, make: Make) -> None:
    with site({_PATHS[make]: page('{"results": []}', "application/json")}) as server:
        assert await searched(tmp_path, make(server)) == Outcome("nothing was found")


@both
@pytest.mark.parametrize(
    "body", ["<html>", "", '{"results": 5, "web": 5}', '{"web": {"results": [{}]}, "results": [{}]}']
)
async def test_an_answer_that_is_none_is_an_error_without_the_key(tmp_path: Path, make: Make, body: str) -> None:
    with site({_PATHS[make]: page(body)}) as server:
        outcome = await searched(tmp_path, make(server))
        assert outcome.is_error
        assert "answered what is no search" in outcome.content
        assert _KEY not in outcome.content


@both
async def test_an_endless_answer_is_not_read_to_its_end(tmp_path: Path, make: Make) -> None:
    with site({_PATHS[make]: Answer(b"[" * (8 << 20))}) as server:
        assert (await searched(tmp_path, make(server))).is_error


@pytest.mark.parametrize(
    ("make", "status", "hint"),
    [
        (searxng, 403, "search.formats"),
        (searxng, 302, "OCG_SEARCH_URL"),
        (brave, 401, "BRAVE_API_KEY"),
        (brave, 429, "plan"),
    ],
)
async def test_a_refusal_says_what_to_do(tmp_path: Path, make: Make, status: int, hint: str) -> None:
    with site({_PATHS[make]: Answer(status=status, headers={"Location": "/elsewhere"})}) as server:
        outcome = await searched(tmp_path, make(server))
        assert outcome.is_error
        assert hint in outcome.content
        assert len(server.asked) == 1


@pytest.mark.parametrize(("kind", "key"), [(Searxng, "OCG_SEARCH_URL"), (Brave, "BRAVE_API_KEY")])
async def test_a_setting_that_is_missing_is_named(tmp_path: Path, kind: type[Engine], key: str) -> None:
    outcome = await searched(tmp_path, kind(settings()))
    assert outcome.is_error
    assert f"set {key}" in outcome.content


async def test_an_engine_that_is_not_there_is_said(tmp_path: Path, free_port: int) -> None:
    outcome = await searched(tmp_path, Searxng(settings(OCG_SEARCH_URL=f"http://127.0.0.1:{free_port}")))
    assert outcome.content.startswith("error: searxng cannot be reached: Connection refused")


@pytest.mark.parametrize(
    ("texts", "name"),
    [
        ({}, None),
        ({"OCG_SEARCH_URL": "http://h"}, "searxng"),
        ({"BRAVE_API_KEY": "k"}, "brave"),
        ({"BRAVE_API_KEY": "k", "OCG_SEARCH_URL": "http://h", "OCG_SEARCH": "brave"}, "brave"),
        ({"OCG_SEARCH": "searxng"}, "searxng"),
    ],
)
def test_the_tool_is_offered_where_an_engine_is_set_up(texts: dict[str, str], name: str | None) -> None:
    assert [tool.engine.name for tool in searches(settings(**texts))] == ([name] if name else [])


def test_a_key_is_in_no_text_of_the_query() -> None:
    query = Brave(settings(BRAVE_API_KEY=_KEY)).query("tea", 5)
    assert _KEY not in f"{query}{query.url}{query.params}"
