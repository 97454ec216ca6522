"""OpenAI's chat completions, answered by a provider that speaks something else."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ocg.agent import asked, context
from ocg.agent.providers.base import Piece, PromptMessage, Provider, Reply, ToolSpec
from ocg.agent.providers.refusal import RefusedError
from ocg.errors import Code, OcgError
from ocg.lifecycle import answers
from ocg.lifecycle.relay import error_frame
from ocg.lifecycle.stream import EventStream, while_listening
from ocg.protocol.asking import context_of, options_of, wrong
from ocg.protocol.chunks import Chunks, choice, completion
from ocg.protocol.openai import ChatAnswer, ChatRequest
from ocg.protocol.replies import ReplyOptions
from ocg.protocol.thinking import Reasoning


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
            return _Owning(_written(first, pieces, Chunks(chat.model, wants_usage=chat.wants_usage)), owned.pop_all())
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


async def _written(first: Piece, pieces: AsyncGenerator[Piece, None], chunks: Chunks) -> AsyncGenerator[bytes, None]:
    try:
        yield chunks.role() + _chunk(first, chunks)
        async for piece in pieces:
            yield _chunk(piece, chunks)
    except OcgError as error:
        yield error_frame(error)


def _finish(reply: Reply) -> str:
    if reply.is_cut:
        return "length"
    return "tool_calls" if reply.tool_calls else "stop"


def _whole(reply: Reply, model: str) -> ChatAnswer:
    answer = choice(reply.text, reply.tool_calls, _finish(reply), thought=reply.reasoning)
    return completion(model, [answer], reply.usage)


def _chunk(piece: Piece, chunks: Chunks) -> bytes:
    """Write what a piece adds; the whole at the end adds its calls and why it ends."""
    match piece:
        case str():
            return chunks.text(piece)
        case Reasoning():
            return chunks.thought(piece.text)
        case Reply():
            calls = (chunks.call(number, call) for number, call in enumerate(piece.tool_calls))
            return b"".join(calls) + chunks.finish(_finish(piece)) + chunks.end(piece.usage)
