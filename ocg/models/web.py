"""Models by HTTPS. What came before a cut is kept and gone on from: at once, and at the next pull."""

import errno
import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ocg import __version__
from ocg.errors import Code, OcgError
from ocg.models.progress import Report

_CHUNK_BYTES = 1 << 20
_TIMEOUT_S = 60.0
_ATTEMPTS = 4  # in a row that bring nothing; one that brings something begins the count anew
_PAUSE_S = 1.0
_TRANSIENT = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE}
_SERVER_ERROR = 500
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def fetch(
    url: str, part: Path, *, size_bytes: int, report: Report, pause: Callable[[float], None] = time.sleep
) -> None:
    """Download into `part`, going on from what is there. Raises DOWNLOAD_FAILED, and OSError when the disk is full.

    Only the size is certain afterwards; the checksum is the caller's to check.
    """
    _require_https(url)
    failures = 0
    while _size(part) < size_bytes:
        before = _size(part)
        try:
            _go_on(url, part, size_bytes, report)
        except (OSError, http.client.HTTPException) as error:
            if getattr(error, "errno", None) in _FULL:
                discard(part)
                raise
            failures = 1 if _size(part) > before else failures + 1
            if failures >= _ATTEMPTS or _is_final(error):
                raise _failed(url, part, error) from None
        else:
            continue
        pause(_PAUSE_S)


def discard(part: Path) -> None:
    """Delete what is kept of a download."""
    part.unlink(missing_ok=True)
    _tag_file(part).unlink(missing_ok=True)


def _go_on(url: str, part: Path, size_bytes: int, report: Report) -> None:
    """Ask for what is missing. A server that has another file by now, or knows no ranges, sends all of it."""
    have, tag = _size(part), _tag(part)
    headers = {"User-Agent": f"ocg/{__version__}"}
    if have:
        headers |= {"Range": f"bytes={have}-"} | ({"If-Range": tag} if tag else {})
    try:
        answer = _opener().open(urllib.request.Request(url, headers=headers), timeout=_TIMEOUT_S)  # noqa: S310 - checked in fetch
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            discard(part)
        raise
    with answer:
        goes_on = answer.status == HTTPStatus.PARTIAL_CONTENT and _begins_at(answer, have)
        if answer.status == HTTPStatus.PARTIAL_CONTENT and not goes_on:
            discard(part)
            raise ConnectionError("the server sent another part than was asked for")
        _remember(part, answer.headers.get("ETag", ""))
        have = have if goes_on else 0
        with part.open("ab" if goes_on else "wb") as stream:
            while have < size_bytes and (chunk := answer.read1(min(_CHUNK_BYTES, size_bytes - have))):
                stream.write(chunk)
                have += len(chunk)
                report("downloading", have, size_bytes)
    if have < size_bytes:
        raise ConnectionError(f"the connection was cut after {have} of {size_bytes} bytes")


class _Strict(urllib.request.HTTPRedirectHandler):
    """Redirects stay with HTTPS."""

    def redirect_request(self, *args: Any) -> urllib.request.Request | None:
        before: urllib.request.Request = args[0]
        _require_https(str(args[-1]), local=urlsplit(before.full_url).scheme != "https")
        return super().redirect_request(*args)


def _require_https(url: str, *, local: bool = True) -> None:
    """Raise DOWNLOAD_FAILED for all but HTTPS, and HTTP to this very machine where `local` has it, as no wire is."""
    parts = urlsplit(url)
    if parts.scheme != "https" and not (local and parts.scheme == "http" and parts.hostname == "127.0.0.1"):
        raise OcgError(Code.DOWNLOAD_FAILED, f"{url} is not https", "models come by https only")


def _opener() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(_Strict)


def _begins_at(answer: http.client.HTTPResponse, have: int) -> bool:
    return answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")


def _is_final(error: Exception) -> bool:
    """Whether asking again cannot help: the server has understood and refused."""
    return isinstance(error, urllib.error.HTTPError) and error.code < _SERVER_ERROR and error.code not in _TRANSIENT


def _failed(url: str, part: Path, error: Exception) -> OcgError:
    kept = f": {_size(part) / 1e6:.0f} MB are kept and gone on from" if _size(part) else ""
    return OcgError(Code.DOWNLOAD_FAILED, f"{url}: {error}", f"check the network and try again{kept}")


def _size(part: Path) -> int:
    try:
        return part.stat().st_size
    except FileNotFoundError:
        return 0


def _tag_file(part: Path) -> Path:
    return part.with_name(f"{part.name}.etag")


def _tag(part: Path) -> str:
    with suppress(FileNotFoundError):
        return _tag_file(part).read_text(encoding="latin-1")
    return ""


def _remember(part: Path, tag: str) -> None:
    """Keep a strong validator; a weak one may not stand in If-Range (RFC 9110, 13.1.5)."""
    _tag_file(part).write_text("" if tag.startswith("W/") else tag, encoding="latin-1")
