"""Which proxies are believed, and which texts name pages and networks."""

from typing import Any

import pytest

from ocg import config
from ocg.config import Networks, values
from ocg.errors import OcgError
from ocg.gateway.reach import Proxied


async def _asked(
    proxies: str, *headers: tuple[str, str], client: tuple[str, int] | None = ("10.0.0.1", 5), kind: str = "http"
) -> tuple[str, tuple[str, int] | None]:
    """Return by which scheme, and from whom, a request reaches the application."""
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope)

    raw = [(name.encode(), value.encode()) for name, value in headers]
    plain = {"http": "http", "websocket": "ws"}[kind]
    scope = {"type": kind, "scheme": plain, "client": client, "headers": raw}
    await Proxied(app, values.networks(proxies))(scope, None, None)  # type: ignore[arg-type]
    return seen[0]["scheme"], seen[0]["client"]


_TLS = ("x-forwarded-proto", "https")


async def test_the_word_of_a_trusted_proxy_counts_and_of_nobody_else() -> None:
    told = (_TLS, ("x-forwarded-for", "203.0.113.7"))
    assert await _asked("10.0.0.1", *told) == ("https", ("203.0.113.7", 0))
    assert await _asked("10.0.0.0/8", *told) == ("https", ("203.0.113.7", 0))
    assert await _asked("10.0.0.2", *told) == ("http", ("10.0.0.1", 5))
    assert await _asked("unix", *told) == ("http", ("10.0.0.1", 5))
    assert await _asked("unix", *told, client=None) == ("https", ("203.0.113.7", 0))
    assert await _asked("10.0.0.1", *told, client=None) == ("http", None)
    assert await _asked("10.0.0.0/8", _TLS, client=("::ffff:10.1.1.1", 5)) == ("https", ("::ffff:10.1.1.1", 5))
    assert (await _asked("10.0.0.1", _TLS, kind="websocket"))[0] == "wss"


@pytest.mark.parametrize(
    ("hops", "client"),
    [
        (["6.6.6.6, 203.0.113.7"], "203.0.113.7"),  # what the client itself claimed stands before
        (["203.0.113.7", "10.9.9.9"], "203.0.113.7"),
        (["203.0.113.7, 10.9.9.9"], "203.0.113.7"),
        (["10.9.9.9"], "10.0.0.1"),
        (["nonsense"], "10.0.0.1"),
        ([""], "10.0.0.1"),
    ],
)
async def test_the_client_is_the_last_that_is_no_proxy(hops: list[str], client: str) -> None:
    assert (await _asked("10.0.0.0/8", *(("x-forwarded-for", one) for one in hops)))[1][0] == client  # type: ignore[index]


@pytest.mark.parametrize("proto", ["http", "gopher", "", "https,http"])
async def test_nothing_else_is_taken_for_tls(proto: str) -> None:
    assert (await _asked("10.0.0.1", ("x-forwarded-proto", proto)))[0] == "http"


def test_nobody_is_trusted_by_default() -> None:
    assert not Networks()
    assert "127.0.0.1" not in Networks()
    assert "" not in Networks()


@pytest.mark.parametrize(
    "text", ["*", "null", "app.example", "https://app.example/", "https://", "https://user@app.example", "https://*.x"]
)
def test_what_is_no_origin_is_a_mistake(text: str) -> None:
    with pytest.raises(OcgError, match="OCG_CORS_ORIGINS: expected origins"):
        config.load(config.GatewaySettings, file={"OCG_CORS_ORIGINS": text})


def test_origins_of_applications_will_do() -> None:
    text = "https://App.example, http://localhost:3000 app://obsidian.md chrome-extension://abc http://[::1]:3000"
    assert "https://app.example" in values.origins(text)
    assert len(values.origins(text)) == 5


@pytest.mark.parametrize("text", ["proxy.example", "10.0.0.1/8", "*"])
def test_what_is_no_network_is_a_mistake(text: str) -> None:
    with pytest.raises(OcgError, match="OCG_TRUSTED_PROXIES: expected addresses"):
        config.load(config.GatewaySettings, file={"OCG_TRUSTED_PROXIES": text})
