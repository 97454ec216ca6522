"""A model that follows a script: an OpenAI-compatible server whose answer depends on a word in the last message."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

LONG = " ".join(f"word{number}" for number in range(150))
MARKDOWN = """## A heading

Some `inline code`, **bold text** and a [link](https://example.com).

1. First
2. with *two* items

```python
def reverse(items: list[int]) -> list[int]:
    return items[::-1]  # a copy
```

| Kind | Speed |
|---|---:|
| Unix socket | 1.0 |
"""
EVIL = (
    'Look <img src=x onerror="window.hacked=1"> and [click](javascript:window.hacked=2) '
    '<p style="color:red" onclick="window.hacked=3">raw</p> <script>window.hacked=4</script> '
    "![pixel](http://198.51.100.1/pixel.png) [data](data:text/html,<script>window.hacked=5</script>) "
    '<iframe srcdoc="<script>top.hacked=6</script>"></iframe> the end'
)
PLAIN = "A Unix socket lets two programs on one machine talk."

Delta = dict[str, Any]


class Provider(ThreadingHTTPServer):
    """Serves until closed; `ended` cuts short the answers that are still being given."""

    daemon_threads = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.ended = threading.Event()
        self.requests = 0

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away in the middle is what some tests are about."""


class _Handler(BaseHTTPRequestHandler):
    server: Provider

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        pass

    def do_GET(self) -> None:
        self._answer({"object": "list", "data": [{"id": "scripted", "object": "model"}]})

    def do_POST(self) -> None:
        self.server.requests += 1
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        last = body["messages"][-1]
        asked = next(one["content"] for one in reversed(body["messages"]) if one["role"] == "user")
        if "fail" in asked and self.server.requests == 1:
            self._answer({"error": {"message": "the scripted model is out of order", "code": "x"}}, 400)
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for delta in self._script(asked, body, after_tool=last["role"] == "tool"):
            self._chunk(delta)
        self._chunk({}, finish="stop")
        self.wfile.write(b"data: [DONE]\n\n")

    def _script(self, asked: str, body: dict[str, Any], *, after_tool: bool) -> Iterator[Delta]:
        if "time" in asked and not after_tool:
            name = next(one["function"]["name"] for one in body["tools"] if "time" in one["function"]["name"])
            yield {"tool_calls": [{"index": 0, "id": "call-1", "function": {"name": name, "arguments": "{}"}}]}
            return
        delay_s = 0.02 if "long" in asked else 0.0
        for word in _text(asked).split(" "):
            if self.server.ended.wait(delay_s):
                return
            yield {"content": word + " "}

    def _chunk(self, delta: Delta, finish: str | None = None) -> None:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        if finish is None and "tool_calls" in delta:
            choice["finish_reason"] = None
        chunk = {"id": "1", "object": "chat.completion.chunk", "model": "scripted", "created": 1, "choices": [choice]}
        self.wfile.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
        self.wfile.flush()

    def _answer(self, value: dict[str, Any], status: int = 200) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _text(asked: str) -> str:
    texts = {"long": LONG, "markdown": MARKDOWN, "evil": EVIL, "time": "It is time for tea."}
    return next((text for word, text in texts.items() if word in asked), PLAIN)
