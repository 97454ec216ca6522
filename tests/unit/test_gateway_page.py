"""The page's files: the smallest form a browser takes, kept for as long as they cannot change, and nothing else."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import Response

from ocg.errors import Code, OcgError
from ocg.gateway.page import Page
from ocg.lifecycle.worker import Worker


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[Page]:
    """A page that was built, with a secret beside it."""
    assets = tmp_path / "page" / "assets"
    assets.mkdir(parents=True)
    (tmp_path / "page" / "index.html").write_text("<html>")
    for name in ("app-ABCD1234.js", "app-ABCD1234.js.br", "app-ABCD1234.js.gz", "licenses.txt", "x.exe"):
        (assets / name).write_text(name)
    (assets / "folder.js").mkdir()
    (tmp_path / "secret.txt").write_text("secret")
    worker = Worker("page")
    yield Page(tmp_path / "page", worker)
    await worker.close()


def _request(name: str = "", **headers: str) -> Request:
    pairs = [(key.replace("_", "-").encode(), value.encode()) for key, value in headers.items()]
    return Request(
        {
            "type": "http",
            "method": "GET",
            "path": f"/assets/{name}",
            "query_string": b"",
            "headers": pairs,
            "path_params": {"name": name},
        }
    )


async def _asset(page: Page, **headers: str) -> Response:
    return await page.asset(_request("app-ABCD1234.js", **headers))


@pytest.mark.parametrize(
    ("accepts", "suffix"),
    [
        ("gzip, deflate, br, zstd", ".br"),
        ("gzip", ".gz"),
        ("br;q=0, gzip;q=0.5", ".gz"),
        ("identity", ""),
        ("", ""),
    ],
)
async def test_the_form_is_the_one_the_browser_takes(page: Page, accepts: str, suffix: str) -> None:
    found = await _asset(page, accept_encoding=accepts)
    assert bytes(found.body).decode() == f"app-ABCD1234.js{suffix}"
    assert found.headers.get("content-encoding") == {".br": "br", ".gz": "gzip"}.get(suffix)
    assert found.headers["vary"] == "Accept-Encoding"


async def test_a_hash_in_the_name_is_for_ever_and_all_else_is_asked_for_again(page: Page) -> None:
    assert "immutable" in (await _asset(page)).headers["cache-control"]
    assert (await page.asset(_request("licenses.txt"))).headers["cache-control"] == "no-cache"
    assert (await page.index(_request())).headers["cache-control"] == "no-cache"


async def test_what_the_browser_has_is_not_sent_again_until_it_changes(page: Page, tmp_path: Path) -> None:
    tag = (await page.index(_request())).headers["etag"]
    assert (await page.index(_request(if_none_match=tag))).status_code == 304
    (tmp_path / "page" / "index.html").write_text("<html>new")
    assert (await page.index(_request(if_none_match=tag))).status_code == 200


@pytest.mark.parametrize(
    "name",
    ["nothing.js", "../../secret.txt", "../index.html", "folder.js", "x.exe", ".hidden.js", "", "a\0.js", "é.js"],
)
async def test_nothing_else_is_served(page: Page, name: str) -> None:
    with pytest.raises(OcgError) as caught:
        await page.asset(_request(name))
    assert caught.value.code is Code.NOT_FOUND


async def test_a_page_that_was_not_built_says_how_to_build_it(tmp_path: Path) -> None:
    worker = Worker("page")
    with pytest.raises(OcgError) as caught:
        await Page(tmp_path, worker).index(_request())
    assert caught.value.code is Code.UNAVAILABLE
    assert "make" in caught.value.hint
    await worker.close()
