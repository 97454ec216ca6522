"""The web's tools in an agent: a real page, got by a real confined process."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.provider import KEY, ScriptedProvider, calls, provider, says
from tests.service.agent import agent
from tests.website import Site, page, site

_HTML = "<title>Tea</title><main><p>Pour water on <a href='/leaves'>leaves</a>.</p></main>"
_ALLOW = '[[rule]]\ntool = "*"\ndecision = "allow"\n'


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


_PNG = b"\x89PNG\r\n\x1a\n a very small one"


def _pictures(body: dict[str, Any]) -> list[str]:
    """What a request shows."""
    contents = [one["content"] for one in body["messages"] if isinstance(one["content"], list)]
    return [part["image_url"]["url"] for content in contents for part in content if part["type"] == "image_url"]


def test_a_picture_of_the_workspace_is_described_by_a_model_that_sees(
    tmp_path: Path, env: dict[str, str], model: ScriptedProvider
) -> None:
    seeing = {"OCG_PROVIDER": "openai:gpt-5", "OCG_PROVIDER_URLS": f"openai={model.base_url}", "OPENAI_API_KEY": KEY}
    (tmp_path / "data/workspace").mkdir()
    (tmp_path / "data/workspace/cat.png").write_bytes(_PNG)
    model.play(calls("image", '{"path": "cat.png", "question": "which animal?"}'), says("a cat"), says("done"))
    with agent(tmp_path, env | seeing) as running:
        last = running.turn("what is it?")[-1]
    assert (last["text"], sum(last["usage"][key] for key in ("prompt_tokens", "completion_tokens"))) == ("done", 48), (
        "each of three replies takes 16"
    )
    assert _pictures(model.asked[1]) == [f"data:image/png;base64,{base64.b64encode(_PNG).decode()}"]
    assert "which animal?" in str(model.asked[1])
    assert "a cat" in told(model)


@pytest.mark.parametrize(
    ("path", "why"),
    [("notes.txt", "is no PNG, JPEG, GIF or WebP"), ("../secret.png", "outside"), ("none.png", "none.png")],
)
def test_what_is_no_picture_there_is_shown_to_nobody(
    tmp_path: Path, env: dict[str, str], model: ScriptedProvider, path: str, why: str
) -> None:
    seeing = {"OCG_PROVIDER": "openai:gpt-5", "OCG_PROVIDER_URLS": f"openai={model.base_url}", "OPENAI_API_KEY": KEY}
    (tmp_path / "data/workspace").mkdir()
    (tmp_path / "data/workspace/notes.txt").write_text("a secret")
    (tmp_path / "data/secret.png").write_bytes(_PNG)
    model.play(calls("image", f'{{"path": "{path}"}}'), says("done"))
    with agent(tmp_path, env | seeing) as running:
        running.say("what is it?")
    assert why in told(model)
    assert len(model.asked) == 2
    assert not _pictures(model.asked[1])


def test_a_model_that_does_not_see_says_so(tmp_path: Path, env: dict[str, str], model: ScriptedProvider) -> None:
    model.play(calls("image", '{"path": "cat.png"}'), says("done"))
    with agent(tmp_path, env) as running:
        running.say("what is it?")
    assert "does not see pictures" in told(model)
    assert "docs/providers.md" in told(model)
