"""Models by the web, over a real server: a cut costs nothing but time, and only the right bytes are kept."""

import urllib.request
from pathlib import Path

import pytest

from ocg.errors import Code, OcgError
from ocg.models import pulling, store, web
from ocg.models.catalog import Url
from tests.unit.models.samples import model, write_gguf
from tests.unit.models.webserver import Site, serving


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def content(tmp_path: Path) -> bytes:
    return write_gguf(tmp_path / "origin").read_bytes()


class Heard:
    """What a pull reported."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, int, int]] = []

    def __call__(self, what: str, done_bytes: int, total_bytes: int, /) -> None:
        self.steps.append((what, done_bytes, total_bytes))


def _fetch(site: Site, part: Path, heard: Heard | None = None) -> list[float]:
    """Fetch without waiting between attempts; return the waits there would have been."""
    pauses: list[float] = []
    web.fetch(site.url, part, size_bytes=len(site.content), report=heard or Heard(), pause=pauses.append)
    return pauses


def test_a_connection_that_is_cut_is_gone_on_from_where_it_broke(tmp_path: Path, content: bytes) -> None:
    heard = Heard()
    with serving(Site(content, cuts=[300_000, 500_000])) as site:
        pauses = _fetch(site, tmp_path / "part", heard)
    assert (tmp_path / "part").read_bytes() == content
    assert [one.get("Range") for one in site.requests] == [None, "bytes=300000-", "bytes=800000-"]
    assert site.requests[1]["If-Range"] == '"one"'
    assert len(pauses) == 2
    assert heard.steps[-1] == ("downloading", len(content), len(content))


def test_many_cuts_end_no_download_that_gets_on(tmp_path: Path, content: bytes) -> None:
    with serving(Site(content, cuts=[100_000] * 9)) as site:
        _fetch(site, tmp_path / "part")
    assert (tmp_path / "part").read_bytes() == content


def test_the_next_pull_goes_on_from_what_the_last_one_kept(tmp_path: Path, content: bytes) -> None:
    with serving(Site(content, cuts=[400_000, 0, 0, 0, 0])) as site:
        with pytest.raises(OcgError, match="cut after 400000 of") as caught:
            _fetch(site, tmp_path / "part")
        assert caught.value.code is Code.DOWNLOAD_FAILED
        assert "0 MB are kept and gone on from" in caught.value.hint
        site.cuts.clear()
        _fetch(site, tmp_path / "part")
    assert site.requests[-1]["Range"] == "bytes=400000-"
    assert (tmp_path / "part").read_bytes() == content


def test_a_file_that_changed_meanwhile_is_begun_anew(tmp_path: Path, content: bytes) -> None:
    other = bytes(reversed(content))
    with serving(Site(content, cuts=[400_000, 0, 0, 0, 0])) as site:
        with pytest.raises(OcgError):
            _fetch(site, tmp_path / "part")
        site.content, site.etag = other, '"two"'
        site.cuts.clear()
        _fetch(site, tmp_path / "part")
    assert (tmp_path / "part").read_bytes() == other


def test_a_server_that_knows_no_ranges_sends_all_of_it_again(tmp_path: Path, content: bytes) -> None:
    with serving(Site(content, cuts=[400_000], ranges=False)) as site:
        _fetch(site, tmp_path / "part")
    assert (tmp_path / "part").read_bytes() == content


def test_no_more_is_taken_than_the_catalog_announces(tmp_path: Path, content: bytes) -> None:
    with serving(Site(content + b"x" * 5_000_000)) as site:
        web.fetch(site.url, tmp_path / "part", size_bytes=len(content), report=Heard())
    assert (tmp_path / "part").stat().st_size == len(content)


@pytest.mark.parametrize(("status", "requests"), [(404, 1), (403, 1), (503, 4), (429, 4)])
def test_a_refusal_is_final_and_a_busy_server_is_asked_again(
    tmp_path: Path, content: bytes, status: int, requests: int
) -> None:
    with serving(Site(content, status=status)) as site, pytest.raises(OcgError, match=str(status)) as caught:
        _fetch(site, tmp_path / "part")
    assert caught.value.code is Code.DOWNLOAD_FAILED
    assert len(site.requests) == requests


def test_a_server_that_is_not_there_is_an_error_that_says_so(tmp_path: Path, free_port: int) -> None:
    with pytest.raises(OcgError, match="refused") as caught:
        _fetch(Site(b"x", port=free_port), tmp_path / "part")
    assert caught.value.code is Code.DOWNLOAD_FAILED
    assert "kept" not in caught.value.hint


@pytest.mark.parametrize("url", ["http://example.org/model.gguf", "ftp://example.org/model.gguf"])
def test_only_https_is_asked(tmp_path: Path, url: str) -> None:
    with pytest.raises(OcgError, match=r"is not https"):
        web.fetch(url, tmp_path / "part", size_bytes=1, report=Heard())


def test_a_redirect_may_not_lead_away_from_https() -> None:
    request = urllib.request.Request("https://example.org/model.gguf")
    with pytest.raises(OcgError, match="is not https"):
        web._Strict().redirect_request(request, None, 302, "Found", {}, "http://127.0.0.1/model.gguf")


def test_a_whole_model_is_put_in_its_place_and_nothing_else_stays(tmp_path: Path, content: bytes) -> None:
    folder = tmp_path / "models"
    with serving(Site(content)) as site:
        wanted = model(tmp_path / "origin", Url(url=site.url))
        path = pulling.bring(folder, wanted, Heard())
    assert path.read_bytes() == content
    assert list(folder.iterdir()) == [path]
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_wrong_checksum_leaves_nothing_behind_and_says_so(tmp_path: Path, content: bytes) -> None:
    folder = tmp_path / "models"
    with serving(Site(content[:-1] + b"!")) as site:
        wanted = model(tmp_path / "origin", Url(url=site.url))
        with pytest.raises(OcgError, match="has the checksum") as caught:
            pulling.bring(folder, wanted, Heard())
    assert caught.value.code is Code.MODEL_DAMAGED
    assert "nothing of it was kept" in caught.value.hint
    assert list(folder.iterdir()) == []


def test_a_disk_without_room_is_known_before_anything_is_fetched(
    tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1 << 19}))
    with serving(Site(content)) as site, pytest.raises(OcgError, match=r"0 MiB free and 1 MiB are needed") as caught:
        pulling.bring(tmp_path / "models", model(tmp_path / "origin", Url(url=site.url)), Heard())
    assert caught.value.code is Code.DISK_FULL
    assert not site.requests
    assert store.names(tmp_path / "models") == ()
