"""Other pages in the browser of somebody who is signed in: none reads, none is obeyed, none shows ours as its own."""

import asyncio
import contextlib
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.agent_double import Seen
from tests.browser.attacker import PAGE, attacker
from tests.service.gateway import TOKEN, Gateway, agent, environment, serving


@pytest.fixture
def gateway(tmp_path: Path, free_port: int) -> Iterator[Gateway]:
    """A gateway whose agent tells what it was asked."""
    env = environment(tmp_path / "gateway", free_port)
    with agent(tmp_path, env), serving(tmp_path, env) as found:
        yield found


@pytest.fixture
def visitor(browser: Browser, gateway: Gateway) -> Iterator[BrowserContext]:
    """Somebody who is signed in."""
    with contextlib.closing(browser.new_context()) as found:
        found.set_default_timeout(20_000)
        reply = found.request.post(f"{gateway.url}/login", data={"token": TOKEN})
        assert reply.status == 204
        yield found


def _seen(gateway: Gateway) -> Seen:
    """What the agent was asked; Playwright's loop runs in this thread."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, gateway.seen()).result()


def _script(gateway: Gateway) -> str:
    found = re.search(rb'src="(assets/app-[^"]+)"', gateway.ask("GET", "/", headers={}).body)
    assert found
    return found[1].decode()


def _attack(page: Page, gateway: Gateway, target: str) -> list[str]:
    """Return what the page there could do."""
    won = page.evaluate("([target, script]) => attack(target, script)", [target, _script(gateway)])
    page.evaluate("target => submits(target)", target)
    return [name for name, has_won in won.items() if has_won]


def _is_signed_in(visitor: BrowserContext, gateway: Gateway) -> bool:
    return visitor.request.get(f"{gateway.url}/v1/sessions").ok


def test_the_attacks_are_real_our_own_page_could_do_it_all(visitor: BrowserContext, gateway: Gateway) -> None:
    page = visitor.new_page()
    page.route("**/attack", lambda route: route.fulfill(body=PAGE, content_type="text/html"))
    page.goto(f"{gateway.url}/attack")
    page.evaluate("target => submits(target)", f"{gateway.url}/")
    won = _attack(page, gateway, f"{gateway.url}/")
    assert {"reads", "posts", "deletes", "talks", "embeds_script"} <= set(won)
    asked = {turn.session_id for turn in _seen(gateway).turns}
    assert asked == {"posts", "posts_unseen", "beacon", "talks", "form"}
    assert not _is_signed_in(visitor, gateway)  # it could sign out, too


@pytest.mark.parametrize("name", ["evil.test", "127.0.0.1", "localhost"])
def test_another_site_and_another_port_of_this_machine_can_do_nothing(
    visitor: BrowserContext, gateway: Gateway, name: str
) -> None:
    with attacker() as port:
        page = visitor.new_page()
        page.goto(f"http://{name}:{port}/")
        assert _attack(page, gateway, f"{gateway.url}/") == []
        page.evaluate("target => frames(target)", f"{gateway.url}/")
        assert gateway.url not in page.frames[-1].url
    seen = _seen(gateway)
    assert (seen.turns, seen.cancelled, seen.memories) == ([], [], [])
    assert _is_signed_in(visitor, gateway)


def test_a_name_made_to_mean_this_machine_gets_nothing(visitor: BrowserContext, gateway: Gateway) -> None:
    """DNS rebinding: the page came from the attacker's server, and now its name leads to us. The origin is the same."""
    url = gateway.url.replace("127.0.0.1", "evil.test")
    page = visitor.new_page()
    page.route("**/attack", lambda route: route.fulfill(body=PAGE, content_type="text/html"))
    page.goto(f"{url}/attack")
    answer = page.evaluate("url => fetch(url).then(r => r.text())", f"{url}/health")
    assert "the Host header names" in answer  # it is us that the name leads to
    assert _attack(page, gateway, f"{url}/") == []
    assert _seen(gateway).turns == []
    assert page.goto(f"{url}/").status == 403  # type: ignore[union-attr] # the page itself neither


def test_a_window_that_another_page_opened_is_out_of_its_reach(visitor: BrowserContext, gateway: Gateway) -> None:
    with attacker() as port:
        page = visitor.new_page()
        page.goto(f"http://127.0.0.1:{port}/")
        with page.expect_popup() as opened:
            page.evaluate("target => { window.ours = window.open(target); }", f"{gateway.url}/")
        opened.value.wait_for_load_state()
        assert opened.value.url.startswith(gateway.url)
        assert opened.value.evaluate("window.opener") is None
        assert page.evaluate("window.ours.closed"), "it has no hold on the window, to move or to message it"


def test_a_link_from_elsewhere_leads_to_our_page_and_brings_no_cookie_along(
    visitor: BrowserContext, gateway: Gateway
) -> None:
    with attacker() as port:
        page = visitor.new_page()
        page.goto(f"http://evil.test:{port}/")
        with page.expect_navigation() as led:
            page.evaluate("target => { location.href = target; }", f"{gateway.url}/v1/sessions")
        assert led.value.status == 401
        with page.expect_navigation() as led:
            page.evaluate("target => { location.href = target; }", f"{gateway.url}/")
        assert led.value.status == 200
