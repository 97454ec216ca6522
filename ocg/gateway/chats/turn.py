"""A chat as the turn of the agent that it becomes.

In a session the agent knows what came before, so only the last message counts; else the client keeps the conversation.
"""

import hashlib
import uuid
from dataclasses import dataclass
from typing import Self

import msgspec
from starlette.requests import Request

from ocg.gateway.caller import Caller, who
from ocg.protocol.asking import context_of, images_of, options_of, wrong
from ocg.protocol.messages import MAX_TEXT_CHARS, ContextMessage, Image, Name, TurnRequest
from ocg.protocol.openai import ChatMessage, ChatRequest

AGENT_MODEL = "ocg"


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks: in the `session` of that name (X-OCG-Session), if in any; as the `caller` may.

    Raises INVALID_REQUEST when that is no session's name.
    """

    session: str | None
    caller: Caller

    def __post_init__(self) -> None:
        """Check the name, whoever the answer comes from."""
        if self.session is not None:
            _check_session_name(self.session)

    @classmethod
    def of(cls, request: Request) -> Self:
        """Read it of a request."""
        return cls(request.headers.get("x-ocg-session"), who(request))


def turn_of(chat: ChatRequest, asker: Asker) -> TurnRequest:
    """Turn a chat into a turn: of the asker's session or of `user`'s, or of none. Raises INVALID_REQUEST."""
    if chat.logprobs:
        raise wrong("logprobs", f"model {AGENT_MODEL!r} does not offer it", "leave it out")
    options = options_of(chat)
    if (session := _session(chat, asker)) is not None:
        *earlier, last = chat.messages
        message, images = _said(last, f"messages[{len(earlier)}]")
        return asker.caller.turn(TurnRequest(message=message, images=images, session_id=session, options=options))
    # By its id the turn can be found again, to be cancelled.
    message_id, (message, images, context) = str(uuid.uuid4()), _conversation(chat.messages)
    asked = TurnRequest(
        message=message, images=images, message_id=message_id, kind="api", context=context, options=options
    )
    return asker.caller.turn(asked)


def _session(chat: ChatRequest, asker: Asker) -> str | None:
    if asker.session is not None:
        return asker.session
    # Who brings tools keeps the conversation, in which their results stand.
    return _session_of_user(chat.user) if chat.user and not chat.tools else None


def _conversation(
    messages: tuple[ChatMessage, ...],
) -> tuple[str, tuple[Image, ...], tuple[ContextMessage, ...]]:
    """Return what the user says now, and what came before; nothing is said where results of tools come last."""
    *earlier, last = messages
    if last.role == "tool":
        return "", (), context_of(messages)
    message, images = _said(last, f"messages[{len(earlier)}]")
    return message, images, context_of(earlier)


def _said(last: ChatMessage, where: str) -> tuple[str, tuple[Image, ...]]:
    if last.role != "user":
        raise wrong(f"{where}.role", f"the last message is the {last.role}'s", "end with the user's message")
    if not 0 < len(last.text) <= MAX_TEXT_CHARS:
        raise wrong(f"{where}.content", "empty, or longer than 1 MiB of characters", "send some text, and less of it")
    return last.text, images_of(last, where)


def _check_session_name(name: str) -> None:
    try:
        msgspec.convert(name, Name)
    except msgspec.ValidationError:
        raise wrong("X-OCG-Session", "not a session's name", "use up to 128 of A-Z a-z 0-9 . _ @ -") from None


def _session_of_user(user: str) -> str:
    """Return the session of a `user`, which may be any text to OpenAI's API."""
    try:
        return msgspec.convert(user, Name)
    except msgspec.ValidationError:
        return f"user-{hashlib.sha256(user.encode()).hexdigest()[:32]}"
