"""Getting a page: what a site may do, and what of it is read."""

import gzip
import socket
import ssl
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from ocg.errors import Code, OcgError
from ocg.protocol.tooling import Fetch
from ocg.tool.web.client import MAX_BYTES
from ocg.tool.web.fetch import fetch
from ocg.tool.web.markdown import convert
from tests import certificates
from tests.website import Answer, moved, page, site

_LONG = "<p>" + "word " * 100 + "</p>"


def got(url: str, **fields: Any) -> str:
    return fetch(Fetch(url=url, private=("127.0.0.1", "named.test"), **fields))


def refused(url: str) -> OcgError:
    with pytest.raises(OcgError) as caught:
        got(url)
    return caught.value


def test_a_page_is_its_title_its_place_and_its_text_with_links() -> None:
    html = f"<title>T</title><nav>menu</nav><main><h1>Head</h1><p>See <a href='../b c'>that</a>.</p>{_LONG}</main>"
    with site({"/": page(html)}) as server:
        text = got(server.url())
        assert text.startswith(f"# T\n\n{server.url()}\n\n# Head\n\nSee [that]({server.url('/b%20c')}).\n\nword word")
        assert "menu" not in text
        assert "Cookie" not in server.headers[0]
        assert server.headers[0]["Host"] == f"127.0.0.1:{server.port}"


def test_a_long_page_is_read_part_by_part() -> None:
    with site({"/": page("abcdefghij", "text/plain")}) as server:
        assert got(server.url(), limit=4).endswith("abcd\n\n[characters 0 to 4 of 10; go on at offset=4]")
        assert got(server.url(), offset=8, limit=4).endswith("\n\nij")
        assert "nothing at offset 12" in got(server.url(), offset=12)


def test_redirects_are_followed_and_the_last_place_is_told() -> None:
    with site({"/": moved("/next"), "/next": page("here", "text/plain")}) as server:
        assert got(server.url()) == f"{server.url('/next')}\n\nhere"


def test_redirects_that_do_not_end_are_given_up() -> None:
    with site({"/": moved("/")}) as server:
        assert "more than 5 redirects" in refused(server.url()).message
        assert len(server.asked) == 6


@pytest.mark.parametrize("to", ["http://127.0.0.2:1/", "http://0:1/", "http://[::1]:1/", "//169.254.169.254/"])
def test_a_redirect_to_a_private_address_is_refused(to: str) -> None:
    with site({"/": moved(to)}) as server:
        assert refused(server.url()).code is Code.FORBIDDEN


@pytest.mark.parametrize(
    "to", ["file:///etc/passwd", "ftp://127.0.0.1/", "http://user:pass@127.0.0.1/", "http://[x", "http://h:x/"]
)
def test_a_redirect_to_what_is_no_page_is_refused(to: str) -> None:
    with site({"/": moved(to)}) as server:
        assert refused(server.url()).code is Code.INVALID_REQUEST


@pytest.mark.parametrize(
    "url",
    ["", "no address", "file:///etc/passwd", "http://", "http://h:99999/", "http://me:secret@h/", "http://[::1", "//h"],
)
def test_what_is_no_address_of_the_web_is_refused(url: str) -> None:
    error = refused(url)
    assert error.code is Code.INVALID_REQUEST
    assert "secret" not in str(error)


def test_a_name_that_changes_its_mind_after_it_was_checked_leads_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: the first answer is allowed, every later one is another host."""
    with site({"/": page("the right one", "text/plain")}) as server:
        answers = ["127.0.0.1"]

        def resolve(host: str, port: int, **_: Any) -> list[Any]:
            address = answers.pop() if answers else "127.0.0.2"
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        assert "the right one" in got(server.url(host="named.test"))
        assert server.headers[0]["Host"] == f"named.test:{server.port}"


def test_no_line_can_be_smuggled_into_the_request() -> None:
    with site({}) as server:
        refused(server.url("/a\r\nX-Evil: 1"))
        refused(server.url("/a b\u00e9"))
        assert all("X-Evil" not in one for one in server.headers)
        assert server.asked[-1] == "/a%20b%C3%A9"


def test_a_bomb_of_zeros_is_read_as_far_as_there_is_room() -> None:
    bomb = gzip.compress(b"0" * (MAX_BYTES * 20))
    headers = {"Content-Type": "text/plain", "Content-Encoding": "gzip"}
    with site({"/": Answer(bomb, headers=headers)}) as server:
        tracemalloc.start()
        try:
            text = got(server.url(), offset=MAX_BYTES - 3)
            assert tracemalloc.get_traced_memory()[1] < MAX_BYTES * 8
        finally:
            tracemalloc.stop()
        assert text.endswith("\n\n000\n\n[it is longer than 5 MiB, and only that much was read]")


def test_a_packing_that_nobody_asked_for_is_said() -> None:
    with site({"/": Answer(b"x", headers={"Content-Encoding": "br"})}) as server:
        assert "'br'" in refused(server.url()).message


@pytest.mark.parametrize("data", [b"", b"not gzip at all"])
def test_a_damaged_packing_is_an_answer_or_an_error_of_ours(data: bytes) -> None:
    with site({"/": Answer(data, headers={"Content-Encoding": "gzip", "Content-Type": "text/plain"})}) as server:
        if data:
            assert refused(server.url()).code is Code.UNAVAILABLE
        else:
            assert "there is no text on it" in got(server.url())


@pytest.mark.parametrize(
    ("data", "kind", "text"),
    [
        ("grün".encode("latin-1"), "text/plain; charset=ISO-8859-1", "grün"),
        ("grün".encode("utf-16"), "text/plain", "grün"),
        ("grün".encode(), "text/plain", "grün"),
        ("grün “x”".encode("cp1252"), "text/plain", "grün “x”"),
        ("<meta charset='shift_jis'><p>日本".encode("shift_jis"), "text/html", "日本"),
        ("grün".encode(), "text/plain; charset=nonsense", "grün"),
        (b"abc", "text/plain; charset=punycode", "abc"),
        (b"6162", "text/plain; charset=hex", "6162"),
        (b'{"a": 1}', "application/json", '{"a": 1}'),
        (b"<feed/>", "application/atom+xml", "<feed/>"),
    ],
)
def test_texts_are_read_as_they_say_or_show(data: bytes, kind: str, text: str) -> None:
    with site({"/": Answer(data, headers={"Content-Type": kind})}) as server:
        assert got(server.url()).endswith(f"\n\n{text}")


def test_what_is_no_text_is_named_with_its_size() -> None:
    with site({"/": page("%PDF-1.7", "application/pdf")}) as server:
        assert got(server.url()).endswith("[it is application/pdf, 8 bytes, which is no text]")


def test_a_failure_of_the_site_is_said() -> None:
    with site({}) as server:
        assert f"{server.url()} answered 404 Not Found" in refused(server.url()).message
    assert "cannot be reached" in refused(server.url()).message


def test_a_certificate_must_be_trusted_and_be_for_the_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = certificates.make(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.certificate, made.key)
    with site({"/": page("safe", "text/plain")}, context) as server:
        assert "is not to be trusted" in refused(server.url()).message
        monkeypatch.setenv("SSL_CERT_FILE", str(made.certificate))
        assert got(server.url()).endswith("safe")
        with pytest.raises(OcgError, match="not to be trusted"):
            fetch(Fetch(url=server.url(host="localhost"), private=("localhost",)))


def test_what_nobody_can_see_on_a_page_is_not_read() -> None:
    hidden = (
        "<p hidden>x1</p><p style='Display: None'>x2</p><p aria-hidden=true>x3</p><script>x4</script><!-- x5 -->"
        "<template>x6</template><noscript>x7</noscript><p style='font-size:0px'>x8</p><p style='opacity:0.5'>seen</p>"
    )
    _, text = convert(f"<body>{hidden}</body>", "http://h/")
    assert text == "seen"


@pytest.mark.parametrize(
    "html", ["<title>T</title><main>tea", "<head><title>T</title></head><main>tea", "<title>T</title>tea"]
)
def test_a_page_that_says_little_of_its_form_is_read(html: str) -> None:
    assert convert(html, "http://h/") == ("T", "tea")


def test_lists_tables_and_programs_keep_their_form() -> None:
    html = """<ul><li>one<li>two <b>b</b><ol><li>in</ol></ul>
        <table><tr><th>h<th>i<tr><td>1<td>2|3</table><pre>\na  b\n   c</pre><blockquote><p>q<p>r</blockquote>"""
    _, text = convert(html, "http://h/")
    assert text == (
        "- one\n- two **b**\n\n  1. in\n\n| h | i |\n|---|---|\n| 1 | 2\\|3 |\n\n```\na  b\n   c\n```\n\n> q\n>\n> r"
    )


@pytest.mark.parametrize("href", ["javascript:alert(1)", "data:text/html,x", "#top", "", "mailto:a@b", "http://[bad"])
def test_a_link_that_leads_to_no_page_is_its_text(href: str) -> None:
    assert convert(f"<p><a href='{href}'>text</a></p>", "http://h/")[1] == "text"


@pytest.mark.parametrize(
    "html", ["", " ", "<", "<html>", "\0", "<div>" * 100_000 + "x", "<table>" * 5000 + "<li>" * 5000]
)
def test_html_of_any_kind_is_read_without_harm(html: str) -> None:
    convert(html, "http://h/")
