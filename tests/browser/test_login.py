"""Who gets in, and how."""

import time

from playwright.sync_api import Page, expect

from ocg.protocol import login
from tests.browser.stack import Stack
from tests.browser.steps import sign_in


def test_the_link_that_start_prints_signs_in_and_leaves_no_code_in_the_address(page: Page, stack: Stack) -> None:
    page.goto(f"{stack.url}#login={login.new_code(stack.token, time.time())}")
    expect(page.get_by_label("Message", exact=True)).to_be_focused()
    assert page.url == f"{stack.url}#/"
    page.reload()
    expect(page.get_by_label("Message", exact=True)).to_be_visible()


def test_a_used_link_explains_itself_and_the_token_still_signs_in(page: Page, stack: Stack) -> None:
    page.goto(f"{stack.url}#login=wrong")
    expect(page.get_by_text("This sign-in link has expired or was used before.")).to_be_visible()
    assert "wrong" not in page.url
    page.get_by_label("Token").fill(stack.token)
    page.keyboard.press("Enter")
    expect(page.get_by_label("Message", exact=True)).to_be_focused()


def test_a_wrong_token_is_refused_with_a_reason(page: Page, stack: Stack) -> None:
    page.goto(stack.url)
    page.get_by_label("Token").fill("not-the-token")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("That token is not right")
    expect(page.get_by_label("Message", exact=True)).to_have_count(0)


def test_signing_out_ends_the_way_in(page: Page, stack: Stack) -> None:
    sign_in(page, stack.url, stack.token)
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Token")).to_be_focused()
    page.reload()
    expect(page.get_by_label("Token")).to_be_focused()
