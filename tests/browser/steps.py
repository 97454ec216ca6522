"""What a person does on the page."""

import re

from playwright.sync_api import Locator, Page, expect


def sign_in(page: Page, url: str, token: str) -> None:
    page.goto(url)
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_label("Message", exact=True)).to_be_focused()


def ask(page: Page, message: str) -> None:
    asked = page.locator(".question").count()
    page.get_by_label("Message", exact=True).fill(message)
    page.keyboard.press("Enter")
    expect(page.locator(".question")).to_have_count(asked + 1)


def answer(page: Page) -> Locator:
    """The answer given last."""
    return page.locator(".answer").last


def words(page: Page) -> str:
    """The text of the answer given last, without what stands around it."""
    return " ".join(" ".join(answer(page).locator(".markdown").all_inner_texts()).split())


def expect_phase(page: Page, phase: str) -> None:
    """Wait for a phase; an answer that is over in another one is shown at once, since it says why."""
    expect(answer(page)).to_have_attribute("data-phase", re.compile(f"^({phase}|failed|done)$"), timeout=60_000)
    found = answer(page).get_attribute("data-phase")
    assert found == phase, f"{found}: {answer(page).inner_text()}"


def answered(page: Page, message: str) -> str:
    """Ask, wait for the whole answer, and give its text."""
    ask(page, message)
    expect_phase(page, "done")
    return words(page)


def delete(page: Page, item: Locator) -> None:
    """Delete a conversation from the list, and mean it."""
    item.hover()
    item.get_by_role("button").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
