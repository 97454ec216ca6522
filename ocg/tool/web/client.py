"""HTTP as a reader needs it: GET, a few redirects, no cookies, no more than there is room for."""

import http.client
import ssl
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from email.message import Message
from urllib.parse import quote, urljoin, urlsplit

from ocg.errors import Code, OcgError
from ocg.tool.web.reach import Reach, Where, connected

MAX_BYTES = 5 << 20
_MAX_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_OK = range(200, 300)
_SILENCE_S = 20.0
_PIECE = 1 << 16
_HEADERS = {
    "User-Agent": "OCG (a user's agent; it reads what it is sent to)",
    "Accept": "text/html, application/xhtml+xml, text/*;q=0.9, application/json;q=0.9, */*;q=0.5",
    "Accept-Encoding": "gzip",
    "Connection": "close",
}


@dataclass(frozen=True, slots=True)
class Target:
    """Where an address leads."""

    is_secure: bool
    host: str
    port: int
    path: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What was got: `url` is where it was in the end; of a body that `is_cut` only the beginning is here."""

    url: str
    headers: Message
    body: bytes
    is_cut: bool


def target(url: str) -> Target:
    """Read an address. Raises INVALID_REQUEST for what is not on the web, and for one with a password in it."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").encode("idna").decode() if ":" not in (parts.hostname or "") else parts.hostname
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:  # UnicodeError is one
        parts, host, port = urlsplit(""), "", 0
    if parts.scheme not in {"http", "https"} or not host:
        raise OcgError(Code.INVALID_REQUEST, f"{url[:200]!r} is no address of the web", "begin with https://")
    if parts.username or parts.password:
        raise OcgError(Code.INVALID_REQUEST, "an address may not have a user or a password in it", "leave them out")
    query = f"?{parts.query}" if parts.query else ""
    return Target(parts.scheme == "https", host, port, quote((parts.path or "/") + query, safe="%/:=&?~+!$,;'@()*[]|"))


def get(url: str, reach: Reach) -> Answer:
    """Get what is at an address, redirects followed; each is checked anew. Raises OcgError."""
    for _ in range(_MAX_REDIRECTS + 1):
        asked = target(url)
        with _failing(asked), closing(_Connection(asked, reach.find(asked.host, asked.port))) as connection:
            connection.request("GET", asked.path, headers=_HEADERS)
            with connection.getresponse() as response:
                place = response.headers.get("Location")
                if response.status not in _REDIRECTS or not place:
                    return _answer(url, response)
                url = _joined(url, place)
    raise OcgError(Code.UNAVAILABLE, f"more than {_MAX_REDIRECTS} redirects, the last to {url}", "try another address")


class _Connection(http.client.HTTPConnection):
    """A connection to addresses that were checked, the first that answers; the name is for the server alone."""

    def __init__(self, asked: Target, places: Sequence[Where]) -> None:
        super().__init__(asked.host, asked.port)
        self.default_port = 443 if asked.is_secure else 80  # which the Host header leaves out
        self._is_secure = asked.is_secure
        self._places = places

    def connect(self) -> None:
        """Connect, and check the certificate."""
        sock = connected(self._places, _SILENCE_S)
        self.sock = ssl.create_default_context().wrap_socket(sock, server_hostname=self.host) if self._is_secure else sock


@contextmanager
def _failing(asked: Target) -> Iterator[None]:
    """Say what went wrong on the wire."""
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        why = f"the certificate of {asked.host} is not to be trusted: {error.verify_message}"
        raise OcgError(Code.UNAVAILABLE, why, "it may not be who it says it is; use another source") from None
    except TimeoutError:
        raise OcgError(Code.TIMEOUT, f"{asked.host} was silent for {_SILENCE_S:g} s", "try again later") from None
    except OSError as error:
        why = f"{asked.host} cannot be reached: {error.strerror or error}"
        raise OcgError(Code.UNAVAILABLE, why, "try again later, or another address") from None
    except (http.client.HTTPException, zlib.error) as error:
        why = f"{asked.host} answered with what is not HTTP: {type(error).__name__}"
        raise OcgError(Code.UNAVAILABLE, why, "try another address") from None


def _joined(url: str, place: str) -> str:
    try:
        return urljoin(url, place)
    except ValueError:
        return place  # which target() says is none


def _answer(url: str, response: http.client.HTTPResponse) -> Answer:
    if response.status not in _OK:
        why = f"{url} answered {response.status} {response.reason[:100]}"
        raise OcgError(Code.UNAVAILABLE, why, "look at the address, or for another one")
    return Answer(url, response.headers, *_read(response))


def _read(response: http.client.HTTPResponse) -> tuple[bytes, bool]:
    """Read a body as far as there is room for it, however small it was made for the way."""
    coding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if coding not in {"", "identity", "gzip", "x-gzip"}:
        raise OcgError(Code.UNAVAILABLE, f"the answer is packed by {coding[:40]!r}", "try another address")
    unpack = zlib.decompressobj(wbits=31) if coding.endswith("gzip") else None
    body = bytearray()
    while len(body) <= MAX_BYTES and (piece := response.read(_PIECE)):
        body += unpack.decompress(piece, MAX_BYTES + 1 - len(body)) if unpack else piece
    return bytes(body[:MAX_BYTES]), len(body) > MAX_BYTES
