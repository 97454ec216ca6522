"""The page that shows the API: complete without a script, in both colours, on a wide screen and on a phone."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.service.gateway import Gateway, serving


@pytest.fixture
def gateway(tmp_path: Path, env: dict[str, str]) -> Iterator[Gateway]:
    """A gateway alone: the page needs nobody else, and no token."""
    with serving(tmp_path, env) as found:
        yield found


def test_a_link_opens_what_it_leads_to(page: Page, gateway: Gateway) -> None:
    page.goto(f"{gateway.url}/docs")
    expect(page.get_by_role("heading", name="OCG API")).to_be_visible()
    expect(page.get_by_role("heading", name="Takes")).to_have_count(0)
    page.get_by_role("link", name="POST /v1/turns", exact=True).click()
    expect(page.get_by_role("heading", name="Takes application/json TurnRequest")).to_be_in_viewport()
    page.get_by_role("link", name="ReplyOptions").first.click()
    expect(page.get_by_role("cell", name="max_tokens").first).to_be_in_viewport()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 390, 1280])
def test_it_fits_the_screen_and_the_colours(page: Page, gateway: Gateway, scheme: str, width: int) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(f"{gateway.url}/docs#turn")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == {"light": "rgb(252, 252, 251)", "dark": "rgb(20, 23, 26)"}[scheme]
