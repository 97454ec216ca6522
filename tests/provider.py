"""A scripted model behind a real HTTP server: it speaks OpenAI's chat completions, well or badly, a script a request.

Scripts are taken in order; the last one is played for ever. What was asked is kept.
"""

import contextlib
import itertools
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Script = Callable[["Exchange"], None]

KEY = "sk-a-secret-key"


class Exchange:
    """One request and the means to answer it."""

    def __init__(self, handler: "_Handler", body: dict[str, Any]) -> None:
        self.body = body
        self.closing = handler.server.closing
        self._handler = handler

    def error(self, status: int, body: Any, **headers: str) -> None:
        """Answer with an error."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self._handler.send_response(status)
        for name, value in headers.items():
            self._handler.send_header(name.replace("_", "-"), value)
        self._handler.send_header("Content-Length", str(len(data)))
        self._handler.end_headers()
        self._handler.wfile.write(data)

    def begin(self) -> None:
        """Begin a stream."""
        self._handler.send_response(200)
        self._handler.send_header("Content-Type", "text/event-stream")
        self._handler.end_headers()

    def raw(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._handler.wfile.write(data)
        self._handler.wfile.flush()

    def delta(self, finish: str | None = None, **delta: Any) -> None:
        """Send a chunk."""
        self._chunk(choices=[{"index": 0, "delta": delta, "finish_reason": finish}])

    def _chunk(self, **fields: Any) -> None:
        chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "scripted"} | fields
        self.raw(b"data: " + json.dumps(chunk).encode() + b"\n\n")

    def end(self, finish: str = "stop") -> None:
        """End a stream well, with usage."""
        self.delta(finish)
        self._chunk(choices=[], usage={"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16})
        self.raw(b"data: [DONE]\n\n")


def says(text: str) -> Script:
    """Answer a text, a word a chunk."""

    def script(exchange: Exchange) -> None:
        exchange.begin()
        exchange.delta(role="assistant", content="")
        for at, word in enumerate(text.split(" ")):
            exchange.delta(content=word if at == 0 else f" {word}")
        exchange.end()

    return script


def echoes(exchange: Exchange) -> None:
    """Answer with what the user said last."""
    says(f"you said: {user_said(exchange.body)}")(exchange)


def user_said(body: dict[str, Any]) -> str:
    """Return what the user said last."""
    return str(next(one["content"] for one in reversed(body["messages"]) if one["role"] == "user"))


def calls(name: str, arguments: str, *, call_id: str = "call_0", text: str = "") -> Script:
    """Call a tool; the arguments come in two halves, the second without id and name, as OpenAI sends them."""

    def script(exchange: Exchange) -> None:
        exchange.begin()
        if text:
            exchange.delta(content=text)
        half = len(arguments) // 2
        first = {"index": 0, "id": call_id, "function": {"name": name, "arguments": arguments[:half]}}
        exchange.delta(tool_calls=[first | {"type": "function"}])
        exchange.delta(tool_calls=[{"index": 0, "function": {"arguments": arguments[half:]}}])
        exchange.end("tool_calls")

    return script


def fails(status: int, body: Any = b"out of order", **headers: str) -> Script:
    """Answer with an error."""
    return lambda exchange: exchange.error(status, body, **headers)


def gives(body: Any, **headers: str) -> Script:
    """Answer whole."""
    return fails(200, body, **headers)


def breaks(text: str) -> Script:
    """Begin an answer and close the connection."""

    def script(exchange: Exchange) -> None:
        exchange.begin()
        exchange.delta(content=text)

    return script


def waits(gate: threading.Event, then: Script, first: str = "") -> Script:
    """Say something, then nothing until the gate opens, or the server closes; then play another script."""

    def script(exchange: Exchange) -> None:
        if first:
            exchange.begin()
            exchange.delta(content=first)
        while not gate.wait(0.01):
            if exchange.closing.is_set():
                return
        if first:
            exchange.end()
        else:
            then(exchange)

    return script


def plays(data: bytes, *cuts: int) -> Script:
    """Answer with a stream as it was written down, cut at these places."""

    def script(exchange: Exchange) -> None:
        exchange.begin()
        for at, end in itertools.pairwise((0, *cuts, len(data))):
            exchange.raw(data[at:end])

    return script


def never_ends(exchange: Exchange) -> None:
    """Talk on and on."""
    exchange.begin()
    while not exchange.closing.wait(0.01):
        exchange.delta(content="and on ")


class ScriptedProvider(ThreadingHTTPServer):
    """The server; `asked` are the bodies it got, `keys` the Authorization headers, `hung_up` a client that left.

    `bodies` are those as they came, `paths` and `headers` those of the requests, and `facts` what a GET, or a POST
    beside, of a path is answered. A GET of /hung_up waits for the event and clears it.
    """

    daemon_threads = False
    request_queue_size = 128

    def __init__(self, *scripts: Script, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.closing = threading.Event()
        self.asked: list[dict[str, Any]] = []
        self.bodies: list[bytes] = []
        self.keys: list[str] = []
        self.paths: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.facts: dict[str, Any] = {}
        self.hung_up = threading.Event()
        self._scripts = list(scripts)
        self._lock = threading.Lock()
        self._threads_seen: set[threading.Thread] = set()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    @property
    def env(self) -> dict[str, str]:
        """Settings with which ocg-agent uses it."""
        return {"OCG_BASE_URL": self.base_url, "OCG_API_KEY": KEY, "OCG_MODEL": "scripted"}

    def play(self, *scripts: Script) -> None:
        """Play other scripts from now on."""
        with self._lock:
            self._scripts = list(scripts)

    def forget(self) -> None:
        """Wait until all that was asked is over, and forget it."""
        for thread in self._threads_seen:
            thread.join(10)
        self._threads_seen.clear()
        self.asked.clear()
        self.bodies.clear()
        self.keys.clear()
        self.paths.clear()
        self.headers.clear()
        self.hung_up.clear()

    def next_script(self, path: str, headers: dict[str, str], body: dict[str, Any]) -> Script:
        with self._lock:
            self._threads_seen.add(threading.current_thread())
            self.asked.append(body)
            self.keys.append(headers.get("Authorization", ""))
            self.paths.append(path)
            self.headers.append(headers)
            return self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away in the middle is what some tests are about."""


class _Handler(BaseHTTPRequestHandler):
    server: ScriptedProvider

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        pass

    def do_GET(self) -> None:
        if self.path.endswith("/hung_up"):
            has_left = self.server.hung_up.wait(10)
            self.server.hung_up.clear()
            Exchange(self, {}).error(200, {"hung_up": has_left})
            return
        found = self.server.facts.get(self.path)
        Exchange(self, {}).error(404 if found is None else 200, b"" if found is None else found)

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        body = json.loads(data)
        if not self.path.endswith(("/chat/completions", "/messages", "/embeddings")):
            self.do_GET()
            return
        self.server.bodies.append(data)
        try:
            self.server.next_script(self.path, dict(self.headers), body)(Exchange(self, body))
        except OSError:
            self.server.hung_up.set()
            raise


@contextlib.contextmanager
def provider(*scripts: Script) -> Iterator[ScriptedProvider]:
    """Serve scripts until the block is left."""
    with ScriptedProvider(*scripts) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.closing.set()
            server.shutdown()
            thread.join()
