"""A chat as the turn of the agent that it becomes.

In a session the agent knows what came before, so only the last message counts; else the client keeps the conversation.
"""

import hashlib
import uuid
from dataclasses import dataclass
from typing import Self

import msgspec
from starlette.requests import Request

from ocg.errors import Code, OcgError
from ocg.gateway.caller import Caller, who
from ocg.protocol.messages import (
    MAX_IMAGES,
    MAX_TEXT_CHARS,
    ContextMessage,
    Image,
    Name,
    ToolUse,
    TurnRequest,
)
from ocg.protocol.openai import ChatMessage, ChatRequest, ToolChoice
from ocg.protocol.replies import ClientTool, JsonForm, NamedTool, ReplyOptions

AGENT_MODEL = "ocg"


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks: in the `session` of that name (X-OCG-Session), if in any; as the `caller` may.

    Raises INVALID_REQUEST for what is no session's name.
    """

    session: str | None
    caller: Caller

    def __post_init__(self) -> None:
        if self.session is not None:
            _check_session(self.session)

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
    return TurnRequest(
        message=message, images=images, message_id=message_id, kind="api", context=context, options=options
    )


def options_of(chat: ChatRequest) -> ReplyOptions:
    """Return what a chat asks of its answer."""
    stop = (chat.stop,) if isinstance(chat.stop, str) else chat.stop or ()
    choice = chat.tool_choice or "auto"
    return ReplyOptions(
        max_tokens=chat.max_completion_tokens or chat.max_tokens,
        temperature=chat.temperature,
        top_p=chat.top_p,
        seed=chat.seed,
        stop=stop,
        tools=tuple(
            ClientTool(
                name=one.function.name,
                description=one.function.description or "",
                parameters=one.function.parameters or {"type": "object"},
            )
            for one in chat.tools or ()
        ),
        tool_choice=NamedTool(name=choice.function.name) if isinstance(choice, ToolChoice) else choice,
        parallel_calls=chat.parallel_tool_calls,
        form=_form(chat),
    )


def _form(chat: ChatRequest) -> JsonForm | None:
    asked = chat.response_format
    if asked is None or asked.type == "text":
        return None
    if asked.type == "json_object":
        return JsonForm()
    if asked.json_schema is None or asked.json_schema.schema is None:
        raise wrong("response_format.json_schema", "is missing", "add the schema")
    found = asked.json_schema
    return JsonForm(schema=found.schema, name=found.name, strict=found.strict)


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
        return "", (), _context(messages)
    message, images = _said(last, f"messages[{len(earlier)}]")
    return message, images, _context(earlier)


def _said(last: ChatMessage, where: str) -> tuple[str, tuple[Image, ...]]:
    if last.role != "user":
        raise wrong(f"{where}.role", f"the last message is the {last.role}'s", "end with the user's message")
    if not 0 < len(last.text) <= MAX_TEXT_CHARS:
        raise wrong(f"{where}.content", "empty, or longer than 1 MiB of characters", "send some text, and less of it")
    return last.text, _images(last, where)


def _images(message: ChatMessage, where: str) -> tuple[Image, ...]:
    if len(message.image_urls) > MAX_IMAGES:
        raise wrong(f"{where}.content", f"more than {MAX_IMAGES} pictures", "send fewer at once")
    return tuple(_image(url, f"{where}.content") for url in message.image_urls)


def _image(url: str, where: str) -> Image:
    """Read a `data:` URL (RFC 2397)."""
    head, _, data = url.partition(",")
    media_type = head.removeprefix("data:").removesuffix(";base64")
    try:
        return msgspec.convert({"media_type": media_type, "data": data}, Image)
    except msgspec.ValidationError:
        hint = "send it as data:image/png;base64,…, or jpeg, gif, webp; OCG fetches no picture for a client"
        raise wrong(where, "no picture that can be read", hint) from None


def _context(earlier: "list[ChatMessage] | tuple[ChatMessage, ...]") -> tuple[ContextMessage, ...]:
    return tuple(_context_message(message, number) for number, message in enumerate(earlier))


def _context_message(message: ChatMessage, number: int) -> ContextMessage:
    calls = tuple(
        ToolUse(id=one.id, name=one.function.name, arguments=one.function.arguments) for one in message.tool_calls or ()
    )
    return ContextMessage(
        role="system" if message.role == "developer" else message.role,
        content=message.text,
        images=_images(message, f"messages[{number}]"),
        tool_calls=calls,
        tool_call_id=message.tool_call_id,
    )


def _check_session(name: str) -> None:
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


def wrong(param: str, why: str, hint: str) -> OcgError:
    """Say which parameter does not fit."""
    return OcgError(Code.INVALID_REQUEST, f"{param}: {why}", hint, param=param)
