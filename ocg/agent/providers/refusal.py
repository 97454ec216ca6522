"""What an HTTP answer that is an error says, in our words: who, which status, why, and what to do."""

import email.utils
import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ocg.errors import Code, OcgError
from ocg.protocol import wire

Hide = Callable[[str], str]

_MAX_SAID_CHARS = 300
_RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
_OF_THE_REQUEST = frozenset({400, 413, 422})
# Words that errors within a stream are known by: Anthropic's types, and what others put there.
_RETRIED_KINDS = frozenset({"overloaded_error", "api_error", "rate_limit_error", "timeout_error", "server_error"})
# OpenAI has a code for it; llama-server a type; vLLM, Ollama, Anthropic, Google and others say it in the text.
_TOO_LONG = re.compile(
    r"context[_ -](length|size|window|limit)|prompt is too long|input token count .{0,40}exceeds|too many input tokens",
    re.IGNORECASE,
)
# Some say with a plain 400 what 401, 402 and 404 are for: another provider may well answer.
_OF_THE_ACCOUNT = (
    (401, re.compile(r"api[ _-]?key", re.IGNORECASE)),
    (402, re.compile(r"credit|billing|quota|balance", re.IGNORECASE)),
    (
        404,
        re.compile(r"invalid model|model .{0,80}(not (exist|found)|is not a valid)|not a valid model", re.IGNORECASE),
    ),
)
_LESS = "send less at once, or set OCG_CONTEXT_TOKENS"


class RefusedError(OcgError):
    """The provider is well and does not want this request: neither another try nor another provider is called for."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(Code.PROVIDER, message, hint)


class Passing(Exception):  # noqa: N818 - no error yet
    """The request may be tried again, after so many seconds."""

    def __init__(self, error: OcgError, after_s: float | None = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.after_s = after_s


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error, whether trying again may help, and after how many seconds the provider wants to be asked again."""

    error: OcgError
    is_passing: bool
    after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """Which settings are to blame when a provider does not take a request, and the key, which is never told."""

    secret: str = field(default="", repr=False)
    key: str = "OCG_API_KEY"
    model: str = "OCG_MODEL"
    base_url: str = "OCG_BASE_URL"

    def hint(self, status: int) -> str:
        """Say what to do about a status."""
        hints = {
            401: f"set {self.key} to a valid key",
            402: "top up the account at the provider",
            403: f"set {self.key} to a key that may use this model",
            404: f"check {self.model}, and {self._place}",
            429: "wait, or raise the limit at the provider",
        }
        return hints.get(status) or (f"check {self.base_url}" if status < 400 else "see the provider's status")  # noqa: PLR2004 - HTTP's classes

    @property
    def _place(self) -> str:
        is_own = self.base_url == "OCG_BASE_URL"
        return f"that {self.base_url} ends where /chat/completions begins" if is_own else self.base_url

    def without_secret(self, text: str) -> str:
        """Keep the key out of what a provider says."""
        return text.replace(self.secret, "[key]") if self.secret else text


def from_api(provider: str, status: int, retry_after: str, body: bytes, *, settings: Settings) -> Refusal:
    """Explain an answer of an API."""
    explanation = said(_read(body), settings.without_secret)
    message = f"{provider}: HTTP {status}: {explanation}"
    if status in _OF_THE_REQUEST:
        if _TOO_LONG.search(body.decode("utf-8", "replace")):
            return Refusal(OcgError(Code.CONTEXT_LENGTH, message, _LESS), is_passing=False)
        meant = next((meant for meant, words in _OF_THE_ACCOUNT if words.search(explanation)), None)
        if meant is not None:
            return Refusal(OcgError(Code.PROVIDER, message, settings.hint(meant)), is_passing=False)
        return Refusal(RefusedError(message, settings.hint(status)), is_passing=False)
    code = Code.BUSY if status == 429 else Code.PROVIDER  # noqa: PLR2004 - HTTP's; whoever asks us is to wait as well
    error = OcgError(code, message, settings.hint(status))
    return Refusal(error, status in _RETRIED, _seconds(retry_after))


def from_stream(provider: str, error: Any, hide: Hide = str) -> Exception:
    """Explain an error that came within a stream, as what is to be raised; `hide` takes out what must not be told."""
    message = f"{provider} said: {said(error, hide)}"
    if _TOO_LONG.search(str(error)):
        return OcgError(Code.CONTEXT_LENGTH, message, _LESS)
    found = OcgError(Code.PROVIDER, message, "ask again; if it stays so, see the provider's status")
    kinds = {str(error.get("type")), str(error.get("code"))} if isinstance(error, dict) else set()
    if "invalid_request_error" in kinds:
        return RefusedError(message, "see the provider's documentation")
    is_passing = not _RETRIED_KINDS.isdisjoint(kinds) or not {str(one) for one in _RETRIED}.isdisjoint(kinds)
    return Passing(found) if is_passing else found


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


def said(found: Any, hide: Hide = str) -> str:
    """Return what an error says in words, whichever of the usual shapes it has, without what `hide` takes out."""
    while isinstance(found, dict | list) and found:
        if isinstance(found, list):
            found = found[0]
        elif isinstance(found.get("loc"), list) and found.get("msg"):
            found = f"{'.'.join(map(str, found['loc']))}: {found['msg']}"
        else:
            found = next((found[key] for key in ("error", "message", "detail", "msg") if found.get(key)), str(found))
    text = " ".join(hide(str(found)).split()) if found else "no explanation"
    return text if len(text) <= _MAX_SAID_CHARS else f"{text[:_MAX_SAID_CHARS]}…"


def _seconds(retry_after: str) -> float | None:
    """Read Retry-After: seconds, or a date (RFC 9110, 10.2.3)."""
    try:
        seconds = float(retry_after)
        return max(seconds, 0.0) if math.isfinite(seconds) else None
    except ValueError:
        pass
    try:
        return max(email.utils.parsedate_to_datetime(retry_after).timestamp() - time.time(), 0.0)
    except ValueError:
        return None
