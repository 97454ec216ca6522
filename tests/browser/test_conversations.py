"""The list of conversations, the keyboard, and how it looks."""

from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from tests.browser.stack import Complaints, Stack
from tests.browser.steps import answered, ask, delete, expect_phase, sign_in

SHOTS = Path(__file__).parents[2] / "test-output"


def test_conversations_are_listed_reopened_and_deleted(page: Page, scripted: Stack) -> None:
    sign_in(page, scripted.url, scripted.token)
    answered(page, "the first question")
    page.keyboard.press("Control+k")
    expect(page.get_by_role("heading", name="What can I help with?")).to_be_visible()
    answered(page, "the second question")
    items = page.locator(".session-list li")
    expect(items).to_have_count(2)
    expect(items.first).to_have_class("current")
    items.last.get_by_role("link").click()
    expect(page.locator(".question .bubble")).to_have_text("the first question")
    page.go_back()
    expect(page.locator(".question .bubble")).to_have_text("the second question")

    items.first.hover()
    items.first.get_by_role("button").click()
    page.get_by_role("button", name="Cancel").click()
    expect(items).to_have_count(2)
    delete(page, items.last)
    expect(items).to_have_count(1)
    expect(page.locator(".question .bubble")).to_have_text("the second question")
    expect(page.get_by_label("Message", exact=True)).to_be_focused()
    delete(page, items.first)
    expect(items).to_have_count(0)
    expect(page.get_by_role("heading", name="What can I help with?")).to_be_visible()
    expect(page.get_by_label("Message", exact=True)).to_be_focused()
    page.reload()
    expect(page.get_by_text("Your conversations will appear here.")).to_be_visible()


def test_a_conversation_that_is_gone_is_said_to_be(page: Page, scripted: Stack, complaints: Complaints) -> None:
    complaints.expected.append("status of 404")
    sign_in(page, scripted.url, scripted.token)
    page.goto(f"{scripted.url}#/s/nobody-knows-this-one")
    expect(page.get_by_text("This conversation does not exist, or was deleted.")).to_be_visible()
    page.get_by_role("button", name="New chat").click()
    expect(page.get_by_role("heading", name="What can I help with?")).to_be_visible()


def test_enter_sends_and_shift_enter_starts_a_line(page: Page, scripted: Stack) -> None:
    sign_in(page, scripted.url, scripted.token)
    page.keyboard.type("one")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("two")
    expect(page.locator(".question")).to_have_count(0)
    page.keyboard.press("Enter")
    expect(page.locator(".question .bubble")).to_have_text("one\ntwo", use_inner_text=True)
    expect(page.get_by_label("Message", exact=True)).to_have_value("")


def test_everything_can_be_reached_by_keyboard(page: Page, scripted: Stack) -> None:
    sign_in(page, scripted.url, scripted.token)
    reached = set()
    for _ in range(14):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate("document.activeElement.getAttribute('aria-label') || document.activeElement.innerText")
        )
    joined = "\n".join(reached)
    for name in ("New chat", "Sign out", "Switch to dark", "Ask the time", "Send"):
        assert name in joined, joined


def test_a_chosen_theme_outlives_a_reload(page: Page, scripted: Stack) -> None:
    sign_in(page, scripted.url, scripted.token)
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.get_by_role("button", name="Switch to dark").click()
    dark = page.evaluate(ground)
    assert dark != light
    page.reload()
    expect(page.get_by_role("button", name="Switch to light")).to_be_visible()
    assert page.evaluate(ground) == dark


def test_it_fits_wide_and_phone_in_light_and_dark(browser: Browser, scripted: Stack) -> None:
    SHOTS.mkdir(exist_ok=True)
    for name, width, height, touch in (("wide", 1280, 800, False), ("phone", 375, 740, True)):
        for scheme in ("light", "dark"):
            context = browser.new_context(
                viewport={"width": width, "height": height}, color_scheme=scheme, has_touch=touch, is_mobile=touch
            )
            page = context.new_page()
            page.goto(scripted.url)
            page.get_by_label("Token").fill(scripted.token)
            page.screenshot(path=SHOTS / f"{name}-{scheme}-login.png", animations="disabled")
            page.keyboard.press("Enter")
            expect(page.get_by_role("heading", name="What can I help with?")).to_be_visible()
            page.screenshot(path=SHOTS / f"{name}-{scheme}-empty.png", animations="disabled")
            ask(page, "what time is it?")
            expect_phase(page, "done")
            answered(page, "markdown, please")
            page.screenshot(path=SHOTS / f"{name}-{scheme}-chat.png", animations="disabled")
            overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert overflow == 0, f"{name} scrolls sideways by {overflow} px"
            if touch:
                page.get_by_role("button", name="Show conversations").click()
                expect(page.get_by_role("button", name="Hide conversations")).to_be_visible()
                page.screenshot(path=SHOTS / f"{name}-{scheme}-list.png", animations="disabled")
            context.close()
