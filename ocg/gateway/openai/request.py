"""A chat completion as a client asks for it, and the turn of the agent that it becomes.

What only tunes sampling (temperature and its like) is the agent's own business and ignored; what would change what
the answer is (tools, formats, several choices) is refused, since to ignore it would be to answer wrongly.
"""

import hashlib
import uuid
from typing import Any

import msgspec

from ocg.errors import Code, OcgError
from ocg.protocol.messages import MAX_IMAGES, MAX_TEXT_CHARS, ContextMessage, Image, Name, TurnRequest
from ocg.protocol.openai import ChatMessage, ChatRequest

AGENT_MODEL = "ocg"
_AGENT_NAMES = frozenset({AGENT_MODEL, "", "default"})


class ModelNamed(msgspec.Struct, frozen=True, kw_only=True):
    """What is read of any chat completion, whoever answers it."""

    model: str = ""
    stream: bool = False

    @property
    def is_for_agent(self) -> bool:
        """Whether the agent answers."""
        return self.model in _AGENT_NAMES


class AgentChat(ChatRequest, frozen=True, kw_only=True):
    """A chat completion for the agent, with what it refuses."""

    functions: list[Any] | None = None
    modalities: list[str] | None = None


def turn_of(chat: AgentChat, session: str | None) -> TurnRequest:
    """Turn a chat completion into a turn: of the `session` (X-OCG-Session) or of `user`'s, or of none.

    In a session the agent knows what came before, so only the last message counts. Raises INVALID_REQUEST.
    """
    _check(chat)
    *earlier, last = chat.messages
    where = f"messages[{len(earlier)}]"
    message, images = _last_text(last, where), _images(last, where)
    if session is not None:
        return TurnRequest(message=message, images=images, session_id=_session_name(session))
    if chat.user:
        return TurnRequest(message=message, images=images, session_id=_session_of_user(chat.user))
    # By its id the turn can be found again, to be cancelled.
    message_id, context = str(uuid.uuid4()), _context(earlier)
    return TurnRequest(message=message, images=images, message_id=message_id, kind="api", context=context)


def _check(chat: AgentChat) -> None:
    refused = {
        "n": chat.n not in {None, 1},
        "logprobs": bool(chat.logprobs),
        "tools": bool(chat.tools),
        "functions": bool(chat.functions),
        "response_format": chat.response_format is not None and chat.response_format.type != "text",
        "modalities": chat.modalities not in (None, [], ["text"]),
    }
    for name, is_asked in refused.items():
        if is_asked:
            raise _wrong(name, f"model {AGENT_MODEL!r} does not offer it", "leave it out")


def _last_text(last: ChatMessage, where: str) -> str:
    if last.role != "user":
        raise _wrong(f"{where}.role", f"the last message is the {last.role}'s", "end with the user's message")
    if not 0 < len(last.text) <= MAX_TEXT_CHARS:
        raise _wrong(f"{where}.content", "empty, or longer than 1 MiB of characters", "send some text, and less of it")
    return last.text


def _images(message: ChatMessage, where: str) -> tuple[Image, ...]:
    if len(message.image_urls) > MAX_IMAGES:
        raise _wrong(f"{where}.content", f"more than {MAX_IMAGES} pictures", "send fewer at once")
    return tuple(_image(url, f"{where}.content") for url in message.image_urls)


def _image(url: str, where: str) -> Image:
    """Read a `data:` URL (RFC 2397)."""
    head, _, data = url.partition(",")
    media_type = head.removeprefix("data:").removesuffix(";base64")
    try:
        return msgspec.convert({"media_type": media_type, "data": data}, Image)
    except msgspec.ValidationError:
        hint = "send it as data:image/png;base64,…, or jpeg, gif, webp; OCG fetches no picture for a client"
        raise _wrong(where, "no picture that can be read", hint) from None


def _context(earlier: list[ChatMessage]) -> tuple[ContextMessage, ...]:
    return tuple(_context_message(message, number) for number, message in enumerate(earlier))


def _context_message(message: ChatMessage, number: int) -> ContextMessage:
    match message.role:
        case "tool":
            raise _wrong(f"messages[{number}].role", f"model {AGENT_MODEL!r} uses its own tools", "leave it out")
        case "system" | "developer":
            return ContextMessage(role="system", content=message.text)
        case role:
            return ContextMessage(role=role, content=message.text, images=_images(message, f"messages[{number}]"))


def _session_name(name: str) -> str:
    try:
        return msgspec.convert(name, Name)
    except msgspec.ValidationError:
        raise _wrong("X-OCG-Session", "not a session's name", "use up to 128 of A-Z a-z 0-9 . _ @ -") from None


def _session_of_user(user: str) -> str:
    """Return the session of a `user`, which may be any text to OpenAI's API."""
    try:
        return msgspec.convert(user, Name)
    except msgspec.ValidationError:
        return f"user-{hashlib.sha256(user.encode()).hexdigest()[:32]}"


def _wrong(param: str, why: str, hint: str) -> OcgError:
    return OcgError(Code.INVALID_REQUEST, f"{param}: {why}", hint, param=param)
