"""Talking: the real local model where its answer does not matter, a scripted one where it does."""

import re
from pathlib import Path

from playwright.sync_api import Page, Route, expect

from tests.browser.scripted import LONG, PLAIN
from tests.browser.stack import Complaints, Stack
from tests.browser.steps import answer, answered, ask, expect_phase, sign_in, words


def test_the_local_model_s_answer_streams_in_and_a_reload_shows_the_same(page: Page, stack: Stack) -> None:
    sign_in(page, stack.url, stack.token)
    ask(page, "Explain in three sentences what a Unix socket is.")
    expect_phase(page, "streaming")
    expect(answer(page).locator(".markdown")).to_have_text(re.compile(".{20}", re.DOTALL))
    early = len(words(page))
    expect_phase(page, "done")
    whole = words(page)
    assert len(whole) > early
    assert "#/s/" in page.url
    page.reload()
    expect_phase(page, "done")
    assert words(page) == whole
    expect(page.locator(".question")).to_have_text("You saidExplain in three sentences what a Unix socket is.")


def test_a_reload_in_the_middle_of_an_answer_takes_it_up_again(page: Page, scripted: Stack) -> None:
    sign_in(page, scripted.url, scripted.token)
    ask(page, "a long answer, please")
    expect(answer(page)).to_contain_text("word20")
    page.reload()
    expect_phase(page, "done")
    assert words(page) == LONG
    expect(page.locator(".question")).to_have_count(1)


def test_stop_keeps_what_was_said_and_the_next_question_is_answered(page: Page, scripted: Stack) -> None:
    sign_in(page, scripted.url, scripted.token)
    ask(page, "a long answer, please")
    expect(answer(page)).to_contain_text("word10")
    page.keyboard.press("Escape")
    expect_phase(page, "stopped")
    said = words(page)
    assert LONG.startswith(said)
    assert said != LONG
    assert answered(page, "hello") == PLAIN
    ask(page, "a long answer again")
    expect(answer(page)).to_contain_text("word10")
    page.get_by_role("button", name="Stop answering").click()
    expect_phase(page, "stopped")


def test_the_gateway_restarts_in_mid_stream_and_nothing_is_lost_or_said_twice(
    page: Page, scripted: Stack, complaints: Complaints
) -> None:
    complaints.expected += ["WebSocket connection to", "ERR_CONNECTION_REFUSED"]
    sign_in(page, scripted.url, scripted.token)
    ask(page, "a long answer, please")
    expect(answer(page)).to_contain_text("word20")
    scripted.crash("ocg.gateway")
    expect(page.get_by_text("Connection lost. Reconnecting…")).to_be_visible()
    scripted.start("ocg.gateway")
    expect_phase(page, "done")
    assert words(page) == LONG
    expect(page.locator("[data-link=open]")).to_be_attached()
    expect(page.locator(".question")).to_have_count(1)


def test_the_agent_restarts_in_mid_stream_and_the_answer_still_comes_whole(page: Page, scripted: Stack) -> None:
    sign_in(page, scripted.url, scripted.token)
    ask(page, "a long answer, please")
    expect(answer(page)).to_contain_text("word20")
    scripted.crash("ocg.agent")
    scripted.start("ocg.agent")
    expect_phase(page, "done")
    assert words(page) == LONG
    expect(page.locator(".question")).to_have_count(1)


def test_a_tool_call_is_a_card_that_unfolds(page: Page, scripted: Stack) -> None:
    sign_in(page, scripted.url, scripted.token)
    assert answered(page, "what time is it?") == "It is time for tea."
    card = page.locator("details.tool")
    expect(card).to_contain_text("done")
    expect(card.get_by_text("Arguments")).to_be_hidden()
    card.locator("summary").click()
    expect(card.get_by_text("Arguments")).to_be_visible()
    expect(card.locator("pre").last).to_contain_text("20")  # the year, in whatever form the tool gives it
    page.reload()
    expect(page.locator("details.tool")).to_contain_text("done")


def test_a_failure_says_why_and_a_second_try_replaces_it(page: Page, scripted: Stack) -> None:
    sign_in(page, scripted.url, scripted.token)
    ask(page, "fail once")
    expect_phase(page, "failed")
    expect(answer(page).get_by_role("alert")).to_contain_text("the scripted model is out of order")
    answer(page).get_by_role("button", name="Try again").click()
    expect_phase(page, "done")
    assert words(page) == PLAIN
    expect(page.locator(".question")).to_have_count(1)
    page.reload()
    expect_phase(page, "done")
    expect(page.locator(".question")).to_have_count(1)


def test_what_a_model_writes_is_shown_and_never_run(page: Page, scripted: Stack) -> None:
    asked_elsewhere: list[str] = []

    def elsewhere(route: Route) -> None:
        asked_elsewhere.append(route.request.url)
        route.abort()

    page.route(lambda url: not url.startswith((scripted.url, "data:", "blob:")), elsewhere)
    sign_in(page, scripted.url, scripted.token)
    assert answered(page, "evil, please").endswith("the end")
    assert page.evaluate("window.hacked") is None
    assert asked_elsewhere == []
    inside = answer(page).locator(".markdown")
    expect(inside.locator("img, script, iframe, [style], [onclick], [onerror]")).to_have_count(0)
    links = inside.locator("a[href]").evaluate_all("all => all.map(one => one.protocol)")
    assert set(links) <= {"http:", "https:"}


def test_markdown_is_dressed_and_code_can_be_copied(page: Page, scripted: Stack) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    sign_in(page, scripted.url, scripted.token)
    answered(page, "markdown, please")
    expect(answer(page).get_by_role("heading", name="A heading")).to_be_visible()
    expect(answer(page).locator("td").last).to_have_css("text-align", "right")
    expect(answer(page).locator(".hljs-keyword").first).to_have_text("def")
    answer(page).get_by_role("button", name="Copy code").click()
    expect(answer(page).get_by_text("Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()").startswith("def reverse(items: list[int])")


def test_events_that_the_page_does_not_know_break_nothing(page: Page, scripted: Stack, tmp_path: Path) -> None:
    (tmp_path / "data/policy.toml").write_text('[[rule]]\ntool = "time"\ndecision = "ask"\n')
    scripted.crash("ocg.agent")
    scripted.start("ocg.agent")
    sign_in(page, scripted.url, scripted.token)
    ask(page, "What time is it?")
    expect(answer(page)).to_contain_text("time")
    path = f"{scripted.url}v1/approvals"
    while not (waiting := page.request.get(path).json()["approvals"]):
        page.wait_for_timeout(20)  # the call is told before it is asked about
    assert page.request.post(f"{path}/{waiting[0]['id']}", data={"answer": "allow"}).ok
    expect_phase(page, "done")
