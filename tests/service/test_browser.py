"""The browser: a real Chromium in a real cage, led by a model that reads what it is shown."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.provider import Exchange, Script, ScriptedProvider, calls, provider, says, user_said
from tests.service.agent import agent
from tests.website import Answer, Site, moved, page, site

_FORM = """<title>Tea</title><h1>Order</h1><label>Name <input id=n></label>
<label>Kind <select id=k><option>green<option>black</select></label>
<button onclick="document.title='Done'; document.body.textContent=n.value+' has '+k.value">Send</button>"""


@pytest.fixture
def web() -> Iterator[Site]:
    """A site on this machine."""
    with site({"/": page(_FORM), "/favicon.ico": Answer(status=404)}) as server:
        yield server


@pytest.fixture
def model() -> Iterator[ScriptedProvider]:
    """A model that a test plays."""
    with provider(says("done")) as server:
        yield server


@pytest.fixture
def env(tmp_path: Path, env: dict[str, str], model: ScriptedProvider) -> dict[str, str]:
    """Settings with which this machine may be reached and everything is allowed."""
    policy = tmp_path / "data/policy.toml"
    policy.write_text('[[rule]]\ntool = "*"\ndecision = "allow"\n')
    policy.chmod(0o600)
    return env | model.env | {"OCG_WEB_PRIVATE": "127.0.0.1"}


def told(body: dict[str, Any]) -> list[str]:
    """What the model was told of its calls."""
    return [str(one["content"]) for one in body["messages"] if one["role"] == "tool"]


def does(action: str, element: str = "", **fields: str) -> Script:
    """Call the browser; an element is found in what was shown last, as a model would."""

    def script(exchange: Exchange) -> None:
        if element:
            [ref] = re.findall(re.escape(element) + r".*? \[ref=(\w+)\]", told(exchange.body)[-1])
            fields["ref"] = ref
        number = len(exchange.body["messages"])
        calls("browser", json.dumps({"action": action} | fields), call_id=f"call_{number}")(exchange)

    return script


def test_a_form_is_filled_in_and_sent_and_seen(
    tmp_path: Path, env: dict[str, str], model: ScriptedProvider, web: Site
) -> None:
    model.play(
        does("open", url=web.url()),
        does("type", 'textbox "Name"', text="Ada"),
        does("select", 'combobox "Kind"', text="black"),
        does("click", 'button "Send"'),
        does("text"),
        does("screenshot", path="shots/tea.png"),
        does("close"),
        does("snapshot"),
        says("done"),
    )
    with agent(tmp_path, env) as running:
        assert running.say("order tea") == "done"
    found = told(model.asked[-1])
    assert 'heading "Order"' in found[0]
    assert "# Done" in found[3]
    assert "Ada has black" in found[4]
    assert (tmp_path / "data/workspace/shots/tea.png").read_bytes().startswith(b"\x89PNG")
    assert "no page is open" in found[7]


def test_nothing_of_a_page_reaches_a_private_address(
    tmp_path: Path, env: dict[str, str], model: ScriptedProvider, web: Site
) -> None:
    """By a picture, a redirect, a frame, fetch, a WebSocket, or one to a file."""
    with site({"/": page("secret")}, host="127.0.0.2") as hidden:
        attempts = f"""<title>t</title><p id=p>start</p><img src="{hidden.url("/i")}">
        <iframe src="{hidden.url()}"></iframe>
        <img src="/moved"><iframe src="file:///etc/passwd"></iframe>
        <script>const ended = [];
        const end = why => {{ ended.push(why); if (ended.length == 2) p.textContent = 'over ' + ended; }};
        fetch("{hidden.url("/x")}", {{mode: 'no-cors'}}).then(() => end('reached'), () => end('refused'));
        const s = new WebSocket("ws://127.0.0.2:{hidden.port}/w");
        s.onopen = () => end('reached'); s.onerror = () => end('refused');</script>"""
        web.answers = {"/": page(attempts), "/moved": moved(hidden.url("/m"))}
        model.play(
            does("open", url=web.url()),
            does("text"),
            does("open", url=hidden.url()),
            does("open", url="file:///etc/passwd"),
            says("done"),
        )
        with agent(tmp_path, env) as running:
            running.say("look")
        assert hidden.asked == []
        assert "/moved" in web.asked
    found = told(model.asked[-1])
    assert "over refused,refused" in found[1]
    assert "127.0.0.2, which is not a public address" in found[1] + found[0]
    assert "127.0.0.2, which is not a public address" in found[2]
    assert "no address of the web" in found[3]


def test_a_mistake_leaves_the_page_open(
    tmp_path: Path, env: dict[str, str], model: ScriptedProvider, web: Site
) -> None:
    model.play(
        does("open", url=web.url()),
        does("click"),
        does("click", ref="e99999"),
        does("snapshot"),
        does("screenshot", path="main.py"),
        says("done"),
    )
    with agent(tmp_path, env) as running:
        running.say("look")
    found = told(model.asked[-1])
    assert "needs a ref" in found[1]
    assert "take a snapshot" in found[2]
    assert 'heading "Order"' in found[3]
    assert "does not end in .png" in found[4]


def test_a_sub_agents_browser_goes_with_it(
    tmp_path: Path, env: dict[str, str], model: ScriptedProvider, web: Site
) -> None:
    def plays(exchange: Exchange) -> None:
        task, has_seen = user_said(exchange.body), bool(told(exchange.body))
        if task == "look":
            opens = does("open", url=web.url())
            (says("seen") if has_seen else opens)(exchange)
        elif len(told(exchange.body)) < 2:
            calls("spawn", json.dumps({"tasks": ["look"] * 2}), call_id=f"call_{has_seen}")(exchange)
        else:
            says("done")(exchange)

    model.play(plays)
    with agent(tmp_path, env) as running:
        assert running.say("have it looked at") == "done"
    assert "seen" in told(model.asked[-1])[1]
    results = [one for body in model.asked if user_said(body) == "look" for one in told(body)]
    assert len(results) == 4
    assert all('heading "Order"' in one for one in results), results
