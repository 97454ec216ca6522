"""The guard: names that mean this machine, pages that are ours, tokens that are right; all else stays outside."""

from collections.abc import Mapping
from typing import Any

import pytest

from ocg.lifecycle.guard import CALLER, Guard, host_is_allowed, same_token


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.0.0.1:55003", "127.8.9.1:1", "localhost:55003", "LOCALHOST", "[::1]:55003", "nas.lan:55003"],
)
def test_names_of_this_machine_are_allowed(host: str) -> None:
    assert host_is_allowed(host, ["nas.lan"])


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "evil.example@127.0.0.1",
        "127.0.0.1/x",
        "127.0.0.1:",
        "127.0.0.1:55003:1",
        "[::1",
        "[evil]",
        "192.168.1.2",
        "0.0.0.0",
        "[::]",
        "127.0.0.1 evil",
        "localhost\n",
    ],
)
def test_other_names_are_not(host: str) -> None:
    assert not host_is_allowed(host, ["nas.lan"])


PEER = "192.0.2.7"


async def _status(headers: Mapping[str, str] | list[tuple[str, str]], path: str = "/private") -> tuple[int, int]:
    """Return the status, 200 when it got through as who it is, and how often a guess was reported."""
    sent: list[Any] = []
    guesses: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        sent.append({"status": 200})
        assert scope.get(CALLER) == (None if path == "/open" else "the owner")

    async def send(message: Any) -> None:
        sent.append(message)

    async def guessed(address: str) -> None:
        guesses.append(address)

    guard = Guard(
        app,
        accepts=lambda token, address: "the owner" if same_token(token, "right") and address == PEER else None,
        accepts_cookie=lambda cookies: "the owner" if cookies.get("login") == "good" else None,
        is_open=lambda path: path == "/open",
        hosts=["NAS.lan"],
        on_guess=guessed,
    )
    pairs = list(headers.items()) if isinstance(headers, Mapping) else headers
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in pairs]
    asked = {"type": "http", "method": "GET", "path": path, "headers": raw, "client": (PEER, 5)}
    await guard(asked, None, send)  # type: ignore[arg-type]
    assert set(guesses) <= {PEER}
    return sent[0]["status"], len(guesses)


HOST = {"Host": "127.0.0.1:55003"}


async def test_the_token_opens_in_any_header_and_the_cookie_too() -> None:
    for header in (
        {"Authorization": "Bearer right"},
        {"Authorization": "bearer  right"},
        {"X-OCG-UI-Token": "right"},
        {"X-Api-Key": "right"},
        {"Cookie": 'broken; other="x\\"; login=good'},
    ):
        assert await _status(HOST | header) == (200, 0), header


async def test_without_it_only_open_paths_answer() -> None:
    assert await _status(HOST) == (401, 0)
    assert await _status(HOST, "/open") == (200, 0)
    assert await _status(HOST | {"Cookie": "login=bad"}) == (401, 0)


@pytest.mark.parametrize(
    "header",
    [
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer rightx"},
        {"X-OCG-UI-Token": "wrong"},
        {"X-Api-Key": "wrong"},
        {"X-OCG-UI-Token": "é"},
    ],
)
async def test_a_wrong_token_is_a_guess(header: dict[str, str]) -> None:
    assert await _status(HOST | header) == (401, 1)


async def test_one_request_is_one_guess_however_many_headers_it_has() -> None:
    wrong = {"Authorization": "Bearer wrong", "X-Api-Key": "other", "Sec-WebSocket-Protocol": "ocg, ocg.bearer.third"}
    assert await _status(HOST | wrong) == (401, 1)
    assert await _status(HOST | wrong | {"X-OCG-UI-Token": "right"}) == (401, 1), (
        "nor is the right one found among them"
    )
    assert await _status(HOST | {"Authorization": "Bearer right", "X-Api-Key": "right"}) == (200, 0)


async def test_another_schemes_credentials_are_not() -> None:
    assert await _status(HOST | {"Authorization": "Basic right"}) == (401, 0)


@pytest.mark.parametrize("path", ["/private", "/open"])
@pytest.mark.parametrize(
    "header",
    [
        {"Host": "evil.example"},
        {"Origin": "https://evil.example"},
        {"Origin": "http://127.0.0.1:8080"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "http://[bad"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"},
    ],
)
async def test_other_pages_and_other_names_are_refused_even_with_the_token(header: dict[str, str], path: str) -> None:
    assert (await _status(HOST | {"Authorization": "Bearer right"} | header, path))[0] == 403


async def test_two_host_headers_are_refused() -> None:
    assert (await _status([("Host", "127.0.0.1"), ("Host", "evil.example")], "/open"))[0] == 403
    assert (await _status([], "/open"))[0] == 403


async def test_our_own_page_and_a_link_to_it_are_let_in() -> None:
    own = {"Origin": "http://127.0.0.1:55003", "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}
    assert await _status(HOST | own | {"Cookie": "login=good"}) == (200, 0)
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert await _status(HOST | link, "/open") == (200, 0)
    named = {"Host": "nas.lan:55003", "Origin": "http://nas.lan:55003"}
    assert await _status(named, "/open") == (200, 0)


def test_an_empty_token_is_never_right() -> None:
    assert not same_token("", "")
    assert same_token("a", "a")
