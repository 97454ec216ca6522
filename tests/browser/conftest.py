"""The page in real Chromium, against the three real services."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.scripted import Model
from tests.browser.stack import Complaints, Stack
from tests.provider import provider

_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # The attacker's name leads here, as a name server of his own could have it.
    "--host-resolver-rules=MAP evil.test 127.0.0.1",
    # Chromium's own wall before a machine's own addresses, which other browsers have not: ours must do without it.
    "--disable-features=LocalNetworkAccessChecks",
)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """One Chromium for all of these tests; each has a profile of its own in it."""
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=_ARGUMENTS)
        yield found
        found.close()


@pytest.fixture
def stack(tmp_path: Path, env: dict[str, str]) -> Iterator[Stack]:
    """The services with the real local model."""
    with contextlib.closing(Stack(tmp_path, env)) as found:
        found.start()
        yield found


@pytest.fixture
def scripted(tmp_path: Path, env: dict[str, str]) -> Iterator[Stack]:
    """The services with a model that follows a script."""
    with (
        provider(Model()) as model,
        contextlib.closing(Stack(tmp_path, env | model.env)) as found,
    ):
        found.start()
        yield found


@pytest.fixture
def complaints() -> Complaints:
    """What the console said."""
    return Complaints()


@pytest.fixture
def page(browser: Browser, complaints: Complaints) -> Iterator[Page]:
    """A page in a profile of its own; at the end its console holds nothing unexpected."""
    with contextlib.closing(browser.new_context(viewport={"width": 1280, "height": 800})) as context:
        context.set_default_timeout(20_000)
        found = context.new_page()
        found.on("console", complaints.hear)
        found.on("pageerror", complaints.hear_error)
        # A visitor who is not signed in is found out by asking.
        complaints.expected.append("status of 401")
        yield found
        assert not complaints.unexpected()
