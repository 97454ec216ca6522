"""A web server on 127.0.0.1 that has one file, and cuts connections, changes its mind or knows no ranges when told."""

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Site:
    """What the server has and how it behaves; `cuts` are the bytes after which each next answer breaks off."""

    content: bytes
    etag: str = '"one"'
    cuts: list[int] = field(default_factory=list)
    ranges: bool = True
    status: int = 200
    port: int = 0
    requests: list[dict[str, str]] = field(default_factory=list)
    # Set to keep an answer open after its cut, for as long as a test wants the download to hang.
    held: threading.Event | None = None
    reached: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/tiny.gguf"


class _Handler(http.server.BaseHTTPRequestHandler):
    site: Site

    def do_GET(self) -> None:
        site = self.site
        site.requests.append(dict(self.headers))
        if site.status != 200:
            self.send_error(site.status)
            return
        begin = self._begin()
        self.send_response(206 if begin else 200)
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(site.content) - 1}/{len(site.content)}")
        self.send_header("ETag", site.etag)
        self.send_header("Content-Length", str(len(site.content) - begin))
        self.end_headers()
        self._send(site.content[begin:])

    def _begin(self) -> int:
        asked = self.headers.get("Range", "")
        same = self.headers.get("If-Range", self.site.etag) == self.site.etag
        if not asked or not self.site.ranges or not same:
            return 0
        return int(asked.removeprefix("bytes=").removesuffix("-"))

    def _send(self, body: bytes) -> None:
        cut = self.site.cuts.pop(0) if self.site.cuts else len(body)
        self.wfile.write(body[:cut])
        self.wfile.flush()
        self.site.reached.set()
        if self.site.held and cut < len(body):
            self.site.held.wait(30)

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def serving(site: Site) -> Iterator[Site]:
    """Serve the site until the block ends."""
    handler = type("Handler", (_Handler,), {"site": site})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = False
        site.port = server.server_address[1]
        thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.02))
        thread.start()
        try:
            yield site
        finally:
            if site.held:
                site.held.set()
            server.shutdown()
            thread.join()
