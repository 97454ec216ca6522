"""What an HTTP answer that is an error says, in our words: who, which status, why, and what to do."""

import email.utils
import re
import time
from dataclasses import dataclass
from typing import Any

import msgspec

from ocg.errors import Code, OcgError
from ocg.protocol import wire

_MAX_SAID_CHARS = 300
_RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
_HINTS = {
    401: "set OCG_API_KEY to a valid key",
    402: "top up the account at the provider",
    403: "set OCG_API_KEY to a key that may use this model",
    404: "check OCG_MODEL, and that OCG_BASE_URL ends where /chat/completions begins",
    429: "wait, or raise the limit at the provider",
}
# OpenAI has a code for it; llama-server a type; vLLM, Ollama and others say it in the text.
_TOO_LONG = re.compile(r"context[_ -](length|size|window)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error, whether trying again may help, and after how many seconds the provider wants to be asked again."""

    error: OcgError
    is_passing: bool
    after_s: float | None = None


def from_api(provider: str, status: int, retry_after: str, body: bytes, *, secret: str) -> Refusal:
    """Explain an answer of any OpenAI-compatible API; `secret` is kept out of what is said."""
    text = body.decode("utf-8", "replace").replace(secret or "\0", "[key]")
    message = f"{provider}: HTTP {status}: {said(_read(text.encode()))}"
    if status in {400, 413, 422} and _TOO_LONG.search(text):
        error = OcgError(Code.CONTEXT_LENGTH, message, "send less at once, or set OCG_CONTEXT_TOKENS")
        return Refusal(error, is_passing=False)
    hint = _HINTS.get(status)
    if hint is None:
        hint = "check OCG_BASE_URL" if status < 400 else "see the provider's status"  # noqa: PLR2004 - HTTP's classes
    return Refusal(OcgError(Code.PROVIDER, message, hint), status in _RETRIED, _seconds(retry_after))


def from_service(status: int, body: bytes) -> Refusal:
    """Take over an error of ocg-embedding as it is; a token that no longer fits means that it was restarted."""
    error = wire.read_error(status, body)
    if error.code is Code.UNAUTHORIZED:
        error = OcgError(Code.UNAVAILABLE, "ocg-embedding does not take the token it published", "ocg restart")
        return Refusal(error, is_passing=True)
    return Refusal(error, is_passing=error.code is Code.BUSY)


def _read(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except msgspec.DecodeError:
        return body.decode("utf-8", "replace")


def said(found: Any) -> str:
    """Return what an error says in words, whichever of the usual shapes it has."""
    while isinstance(found, dict | list) and found:
        if isinstance(found, list):
            found = found[0]
        else:
            found = next((found[key] for key in ("error", "message", "detail", "msg") if found.get(key)), str(found))
    text = " ".join(str(found).split()) if found else "no explanation"
    return text if len(text) <= _MAX_SAID_CHARS else f"{text[:_MAX_SAID_CHARS]}…"


def _seconds(retry_after: str) -> float | None:
    """Read Retry-After: seconds, or a date (RFC 9110, 10.2.3)."""
    try:
        return max(float(retry_after), 0.0)
    except ValueError:
        pass
    try:
        return max(email.utils.parsedate_to_datetime(retry_after).timestamp() - time.time(), 0.0)
    except ValueError:
        return None
