"""The page: files built from web/, served with the headers that keep everything else out of it."""

import re
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from ocg.errors import Code, OcgError
from ocg.lifecycle.worker import Worker

FOLDER = Path(__file__).parent / "page"

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# The build puts a hash of the content into each name but that of the licences.
_HASHED = re.compile(r".+-[A-Z0-9]{8}\.\w+")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".txt": "text/plain; charset=utf-8",
    ".woff2": "font/woff2",
    ".json": "application/json",
}
# By the name of the encoding, in the order we like them.
_ENCODINGS = {"br": ".br", "gzip": ".gz"}


@dataclass(frozen=True, slots=True)
class _File:
    data: bytes
    encoding: str
    tag: str


class Page:
    """Serves index.html and assets/ from a folder; each file as the build compressed it, where the browser can."""

    def __init__(self, folder: Path, worker: Worker) -> None:
        self._folder = folder
        self._worker = worker

    async def index(self, request: Request) -> Response:
        """Serve the page itself. Raises UNAVAILABLE when it was not built."""
        try:
            return await self._serve(request, "index.html", "no-cache")
        except OcgError as error:
            if error.code is not Code.NOT_FOUND:
                raise
            raise OcgError(Code.UNAVAILABLE, "the page was not built", "run `make` in the checkout") from None

    async def asset(self, request: Request) -> Response:
        """Serve a file of assets/."""
        name = request.path_params["name"]
        if not _NAME.fullmatch(name):
            raise _absent(request)
        keep = "public, max-age=31536000, immutable" if _HASHED.fullmatch(name) else "no-cache"
        return await self._serve(request, f"assets/{name}", keep)

    async def icon(self, request: Request) -> Response:
        """Say that there is none here: the page names its own."""
        raise _absent(request)

    async def _serve(self, request: Request, name: str, keep: str) -> Response:
        kind = _TYPES.get(Path(name).suffix)
        accepted = _accepted(request.headers.get("accept-encoding", ""))
        file = await self._worker.run(lambda: _read(self._folder / name, accepted)) if kind else None
        if file is None:
            raise _absent(request)
        headers = {
            "Cache-Control": keep,
            "Content-Security-Policy": CONTENT_SECURITY_POLICY,
            "ETag": file.tag,
            "Vary": "Accept-Encoding",
        }
        if request.headers.get("if-none-match") == file.tag:
            return Response(status_code=304, headers=headers)
        if file.encoding:
            headers["Content-Encoding"] = file.encoding
        return Response(file.data, headers=headers, media_type=kind)


def _absent(request: Request) -> OcgError:
    return OcgError(Code.NOT_FOUND, f"{request.url.path}: no such file", "load the page again")


def _accepted(header: str) -> tuple[str, ...]:
    """Return the encodings of ours that a client takes (RFC 9110, 12.5.3)."""
    offered = {}
    for part in header.split(","):
        name, _, weight = part.partition(";")
        offered[name.strip().lower()] = weight.replace(" ", "").lower() not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return tuple(name for name in _ENCODINGS if offered.get(name, False))


def _read(path: Path, accepted: tuple[str, ...]) -> _File | None:
    """Read a file in the best form there is; None when there is no such file."""
    for encoding in (*accepted, ""):
        form = path.with_name(path.name + _ENCODINGS.get(encoding, ""))
        try:
            status = form.stat()
            return _File(form.read_bytes(), encoding, f'"{status.st_mtime_ns:x}-{status.st_size:x}"')
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            continue
    return None
