"""HTTP for tests, by the standard library: a request in, status and JSON out."""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any


def ask(
    url: str,
    body: Any = None,
    *,
    token: str = "",
    method: str | None = None,
    headers: Mapping[str, str] | None = None,
    timeout_s: float = 60,
) -> tuple[int, Any]:
    """Send a request; `body` is bytes as they are, or what becomes JSON."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, data, dict(headers or {}), method=method)
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:
            return answer.status, _read(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, _read(error.read())


def _read(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return data.decode("utf-8", "replace")
