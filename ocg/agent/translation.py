"""OpenAI's chat completions, answered by a provider that speaks something else."""

import time
import uuid
from collections.abc import AsyncGenerator, Iterator
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ocg.agent import asked, context
from ocg.agent.providers.base import Piece, PromptMessage, Provider, Reasoning, Reply, ToolSpec
from ocg.agent.providers.refusal import RefusedError
from ocg.errors import Code, OcgError
from ocg.lifecycle import answers
from ocg.lifecycle.relay import error_frame
from ocg.lifecycle.stream import EventStream, while_listening
from ocg.protocol import sse, wire
from ocg.protocol.asking import context_of, options_of, wrong
from ocg.protocol.openai import (
    DONE,
    AnswerMessage,
    CalledTool,
    ChatAnswer,
    ChatChunk,
    ChatRequest,
    Choice,
    ChunkChoice,
    Delta,
    FunctionCall,
    FunctionDelta,
    TokenCount,
    ToolCallDelta,
)
from ocg.protocol.replies import ReplyOptions


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a chat asks of a provider."""

    messages: tuple[PromptMessage, ...]
    tools: tuple[ToolSpec, ...]
    options: ReplyOptions

    @classmethod
    def of(cls, chat: ChatRequest) -> "_Asked":
        """Read a chat. Raises INVALID_REQUEST where it asks for what only OpenAI's models do, or contradicts itself."""
        for name, is_asked in (("n", (chat.n or 1) > 1), ("logprobs", bool(chat.logprobs))):
            if is_asked:
                raise wrong(name, "this provider does not offer it", "leave it out")
        options, said = options_of(chat), context_of(chat.messages)
        asked.check_choice(options)
        asked.check_calls(said)
        system = context.asked_by(said, options)
        first = (PromptMessage("system", system),) if system else ()
        rest = (one for exchange in context.given(said, {}) for one in exchange)
        tools = (ToolSpec(one.name, one.description, one.parameters) for one in options.tools)
        return cls((*first, *rest), tuple(tools), options)


async def answered(request: Request, provider: Provider, chat: ChatRequest) -> Response:
    """Have a provider answer a chat, whole or as a stream, and close it. What fails before the first word is raised."""
    async with AsyncExitStack() as owned:
        owned.push_async_callback(provider.close)
        pieces = await owned.enter_async_context(aclosing(_pieces(provider, _Asked.of(chat))))
        first = await while_listening(request, anext(pieces))
        if chat.stream:
            return _Owning(_written(first, pieces, _Writer(chat)), owned.pop_all())
        last = await while_listening(request, _last(first, pieces))
        return answers.answer(_whole(last, chat.model))


async def _pieces(provider: Provider, wanted: _Asked) -> AsyncGenerator[Piece, None]:
    most = context.answer_tokens(await provider.model(), wanted.options.max_tokens)
    reply = provider.reply(wanted.messages, wanted.tools, max_tokens=most, options=wanted.options)
    try:
        async with aclosing(reply) as pieces:
            async for piece in pieces:
                yield piece
    except RefusedError as error:  # whoever asked can mend it
        raise OcgError(Code.INVALID_REQUEST, error.message, error.hint) from None


async def _last(first: Piece, pieces: AsyncGenerator[Piece, None]) -> Reply:
    last = first
    async for piece in pieces:
        last = piece
    if not isinstance(last, Reply):
        raise OcgError(Code.INTERNAL, "a provider gave no reply", "this is a bug in OCG")
    return last


class _Owning(EventStream):
    """A stream with what it is made from, closed in every case: a generator that never ran would close nothing."""

    def __init__(self, chunks: AsyncGenerator[bytes, None], owned: AsyncExitStack) -> None:
        super().__init__(chunks)
        self._owned = owned

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See EventStream."""
        async with self._owned:
            await super().__call__(scope, receive, send)


async def _written(first: Piece, pieces: AsyncGenerator[Piece, None], writer: "_Writer") -> AsyncGenerator[bytes, None]:
    try:
        yield writer.role() + b"".join(writer.of(first))
        async for piece in pieces:
            yield b"".join(writer.of(piece))
    except OcgError as error:
        yield error_frame(error)


def _finish(reply: Reply) -> str:
    if reply.tool_calls:
        return "tool_calls"
    return "length" if reply.is_cut else "stop"


def _whole(reply: Reply, model: str) -> ChatAnswer:
    message = AnswerMessage(content=reply.text)
    if reply.tool_calls:
        calls = (
            CalledTool(id=one.id, function=FunctionCall(name=one.name, arguments=one.arguments), type="function")
            for one in reply.tool_calls
        )
        message = AnswerMessage(content=reply.text or None, tool_calls=tuple(calls))
    return ChatAnswer(
        id=_new_id(),
        created=int(time.time()),
        model=model,
        choices=(Choice(message=message, finish_reason=_finish(reply)),),
        usage=TokenCount.of(reply.usage),
    )


class _Writer:
    """Writes the chunks of a stream."""

    def __init__(self, chat: ChatRequest) -> None:
        self._id = _new_id()
        self._created = int(time.time())
        self._model = chat.model
        self._wants_usage = chat.wants_usage

    def role(self) -> bytes:
        """Write the first chunk, which says whose text follows."""
        return self._delta(Delta(role="assistant", content=""))

    def of(self, piece: Piece) -> Iterator[bytes]:
        """Write what a piece adds; the whole at the end adds its calls and why it ends."""
        match piece:
            case str():
                yield self._delta(Delta(content=piece))
            case Reasoning():
                yield self._delta(Delta(reasoning_content=piece.text))
            case Reply():
                if piece.tool_calls:
                    yield self._delta(Delta(tool_calls=_calls(piece)))
                yield self._frame(ChunkChoice(delta=Delta(), finish_reason=_finish(piece)))
                if self._wants_usage:
                    yield self._frame(usage=TokenCount.of(piece.usage))
                yield DONE

    def _delta(self, delta: Delta) -> bytes:
        return self._frame(ChunkChoice(delta=delta))

    def _frame(self, *choices: ChunkChoice, usage: TokenCount | None = None) -> bytes:
        chunk = ChatChunk(id=self._id, created=self._created, model=self._model, choices=choices, usage=usage)
        return sse.frame(wire.encode(chunk))


def _calls(reply: Reply) -> tuple[ToolCallDelta, ...]:
    return tuple(
        ToolCallDelta(
            index=index, id=one.id, type="function", function=FunctionDelta(name=one.name, arguments=one.arguments)
        )
        for index, one in enumerate(reply.tool_calls)
    )


def _new_id() -> str:
    return f"chatcmpl-{uuid.uuid4().hex}"
