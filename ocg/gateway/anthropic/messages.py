"""POST /v1/messages and /v1/messages/count_tokens."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from ocg.errors import Code, OcgError
from ocg.gateway.anthropic import errors
from ocg.gateway.anthropic.answer import AnthropicMessage, Event, Events, Ping, frame, message
from ocg.gateway.anthropic.chat import chat_of
from ocg.gateway.anthropic.count import Counter, InputTokens
from ocg.gateway.anthropic.raw import answerer_of, is_spoken_by, passed
from ocg.gateway.anthropic.request import CountRequest, MessagesRequest
from ocg.gateway.chats.chats import ERRORS, SESSION, Chats
from ocg.gateway.chats.pieces import Busy, Piece, whole
from ocg.gateway.chats.turn import Asker
from ocg.gateway.openai.request import ModelNamed
from ocg.gateway.stream import with_heartbeats
from ocg.gateway.upstream import UPSTREAM_ERRORS, Agent, Embedding
from ocg.lifecycle import answers
from ocg.lifecycle.endpoints import Endpoint
from ocg.lifecycle.stream import EventStream, while_listening
from ocg.protocol import wire

_PING = frame(Ping())


class MessagesRoutes:
    """The routes."""

    def __init__(self, chats: Chats, agent: Agent, embedding: Embedding) -> None:
        self._chats = chats
        self._agent = agent
        self._counter = Counter(embedding)

    def endpoints(self) -> tuple[Endpoint, ...]:
        """List them."""
        shared = partial(Endpoint, failure=errors.AnthropicError, status=errors.status, scope="chat", tag="Anthropic")
        return (
            shared(
                "POST", "/v1/messages", "Continue a conversation", self.messages, AnthropicMessage,
                takes=MessagesRequest, streams=Event, parameters=(SESSION,), errors=ERRORS,
            ),
            shared(
                "POST", "/v1/messages/count_tokens", "Count a request's tokens", self.count_tokens, InputTokens,
                takes=CountRequest, errors=(Code.MODEL_UNKNOWN, Code.MODEL_MISSING, *UPSTREAM_ERRORS),
            ),
        )  # fmt: skip

    async def messages(self, request: Request) -> Response:
        """Answer, whole or as a stream."""
        body = await answers.read_bytes(request)
        answerer = answerer_of(wire.decode(ModelNamed, body).model)
        if is_spoken_by(answerer):
            return passed(self._agent, answerer.provider, request, body)
        asked = wire.decode(MessagesRequest, body)
        asker = Asker.of(request)
        pieces = await while_listening(request, self._chats.open(chat_of(asked), asker))
        if asked.stream:
            return EventStream(_written(pieces, Events(asked.model, shows_thoughts=asked.wants_thoughts)))
        answer = await while_listening(request, whole(pieces))
        return answers.answer(message(answer, asked.model, shows_thoughts=asked.wants_thoughts))

    async def count_tokens(self, request: Request) -> Response:
        """Say how many tokens a request would take."""
        asked = await answers.read(request, CountRequest)
        return answers.answer(await while_listening(request, self._counter.count(asked)))


async def _written(pieces: AsyncGenerator[Piece, None], events: Events) -> AsyncGenerator[bytes, None]:
    try:
        async with aclosing(with_heartbeats(pieces)) as beats:
            async for piece in beats:
                if piece is None or isinstance(piece, Busy):
                    yield _PING
                else:
                    yield b"".join(map(frame, events.of(piece))) or _PING  # what is held back is no silence
    except OcgError as error:
        yield errors.frame(error)
