"""Getting a page and reading it."""

import codecs
import re

from ocg.protocol.tooling import Fetch
from ocg.tool.web.client import MAX_BYTES, Answer, get
from ocg.tool.web.markdown import convert
from ocg.tool.web.reach import Reach

_PAGES = ("text/html", "application/xhtml+xml")
_TEXTS = re.compile(
    r"text/.*|.*\+(json|xml)|application/(x-)?(json|ndjson|xml|yaml|toml|javascript|ecmascript|sh|sql|tex)|message/.*"
)
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_META = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?([a-zA-Z0-9_.:-]{1,40})", re.IGNORECASE)
# What Python decodes beside: no charset of the web, and some take quadratic time.
_NO_CHARSETS = frozenset({"punycode", "idna", "utf-7", "unicode-escape", "raw-unicode-escape"})
_META_BYTES = 4096
_MEBIBYTE = 1 << 20


def fetch(asked: Fetch) -> str:
    """Return a part of a page as text: where it was in the end, its title, and how to read on."""
    answer = get(asked.url, Reach(asked.private))
    kind = _kind(answer)
    if kind not in _PAGES and not _TEXTS.fullmatch(kind):
        return f"{answer.url}\n\n[it is {kind}, {_size(answer)}, which is no text]"
    text, title = _decode(answer), ""
    if kind in _PAGES:
        title, text = convert(text, answer.url)
    return "\n\n".join(part for part in (f"# {title}" if title else "", answer.url, _part(asked, text, answer)) if part)


def _part(asked: Fetch, text: str, answer: Answer) -> str:
    end = asked.offset + asked.limit
    notes = []
    if end < len(text):
        notes.append(f"characters {asked.offset} to {end} of {len(text)}; go on at offset={end}")
    elif text and asked.offset >= len(text):
        notes.append(f"there is nothing at offset {asked.offset}: it has {len(text)} characters")
    if answer.is_cut:
        notes.append(f"it is longer than {MAX_BYTES // _MEBIBYTE} MiB, and only that much was read")
    if not text:
        notes.append("there is no text on it; it may be one that a browser has to make by its scripts")
    return "\n\n".join([text[asked.offset : end], *(f"[{note}]" for note in notes)]).strip()


def _kind(answer: Answer) -> str:
    """Say what it is; where nobody does, look."""
    if answer.headers.get("Content-Type"):
        return answer.headers.get_content_type()
    start = answer.body[:1024].lstrip().lower()
    if b"\0" in start:
        return "application/octet-stream"
    return "text/html" if start.startswith((b"<!doctype html", b"<html")) else "text/plain"


def _size(answer: Answer) -> str:
    size = answer.headers.get("Content-Length", "")
    return f"{size} bytes" if size.isdecimal() else f"{'over ' * answer.is_cut}{len(answer.body)} bytes"


def _decode(answer: Answer) -> str:
    """Read by the mark at its beginning, what the server says, or what the page does; else as most of the web is."""
    meta = _META.search(answer.body[:_META_BYTES])
    marks = [name for mark, name in _MARKS if answer.body.startswith(mark)]
    said = answer.headers.get_content_charset()
    for name in (*marks, said, meta[1].decode() if meta else None):
        try:
            if name and codecs.lookup(name).name not in _NO_CHARSETS:
                return answer.body.decode(name, "replace")
        except (LookupError, UnicodeError):
            continue
    try:
        return answer.body.decode()
    except UnicodeDecodeError as error:
        # The end of a long text may stand in the middle of a character.
        is_end = answer.is_cut and error.start > len(answer.body) - 4
        return answer.body.decode("utf-8" if is_end else "cp1252", "replace")
