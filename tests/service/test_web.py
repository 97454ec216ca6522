"""The web's tools in an agent: a real page, got by a real confined process."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.provider import ScriptedProvider, calls, provider, says
from tests.service.agent import agent
from tests.website import Site, page, site

_HTML = "<title>Tea</title><main><p>Pour water on <a href='/leaves'>leaves</a>.</p></main>"
_ALLOW = '[[rule]]\ntool = "*"\ndecision = "allow"\n'

pytestmark = pytest.mark.skipif(shutil.which("bwrap") is None, reason="there is no bubblewrap to confine with")


@pytest.fixture
def web() -> Iterator[Site]:
    """A site on this machine."""
    with site({"/": page(_HTML)}) as server:
        yield server


@pytest.fixture
def model() -> Iterator[ScriptedProvider]:
    """A model that a test plays."""
    with provider(says("done")) as server:
        yield server


@pytest.fixture
def env(tmp_path: Path, env: dict[str, str], model: ScriptedProvider) -> dict[str, str]:
    """Settings, with a policy that allows everything."""
    policy = tmp_path / "data/policy.toml"
    policy.write_text(_ALLOW)
    policy.chmod(0o600)
    return env | model.env


def told(model: ScriptedProvider) -> str:
    """What the model was told of its call."""
    return str(next(one["content"] for one in reversed(model.asked[-1]["messages"]) if one["role"] == "tool"))


def test_a_page_is_fetched_by_a_confined_process(
    tmp_path: Path, env: dict[str, str], model: ScriptedProvider, web: Site
) -> None:
    model.play(calls("web_fetch", f'{{"url": "{web.url()}"}}'), says("done"))
    with agent(tmp_path, env | {"OCG_WEB_PRIVATE": "127.0.0.1"}) as running:
        assert running.say("read that") == "done"
    assert f"Pour water on [leaves]({web.url('/leaves')})." in told(model)


def test_this_machines_own_services_are_not_reached_unless_it_is_said(
    tmp_path: Path, env: dict[str, str], model: ScriptedProvider, web: Site
) -> None:
    model.play(calls("web_fetch", f'{{"url": "{web.url()}"}}'), says("done"))
    with agent(tmp_path, env) as running:
        running.say("read that")
    assert "is not a public address" in told(model)
    assert web.asked == []


def test_a_search_is_offered_where_one_is_set_up(
    tmp_path: Path, env: dict[str, str], model: ScriptedProvider, web: Site
) -> None:
    web.answers = {"/search": page('{"results": [{"url": "https://a.example/", "title": "A"}]}', "application/json")}
    model.play(calls("web_search", '{"query": "tea"}'), says("done"))
    with agent(tmp_path, env | {"OCG_SEARCH_URL": web.url("")}) as running:
        running.say("look for tea")
    assert "A\nhttps://a.example/" in told(model)
