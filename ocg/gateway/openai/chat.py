"""POST /v1/chat/completions: a turn of the agent, or a model's own answer."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from starlette.requests import Request
from starlette.responses import Response

from ocg.errors import OcgError
from ocg.gateway import gate
from ocg.gateway.chats.chats import ERRORS, PATH, SESSION, Answerer, Chats, Kind
from ocg.gateway.chats.merging import merged, together
from ocg.gateway.chats.pieces import Piece, whole
from ocg.gateway.chats.turn import Asker
from ocg.gateway.limits import Limits
from ocg.gateway.openai.answer import Written, completion
from ocg.gateway.openai.raw import passed
from ocg.gateway.openai.request import AgentChat, ChatNamed
from ocg.gateway.stream import HEARTBEAT, with_heartbeats
from ocg.gateway.upstream import Agent, Embedding
from ocg.lifecycle import answers
from ocg.lifecycle.endpoints import Endpoint
from ocg.lifecycle.relay import error_frame
from ocg.lifecycle.stream import EventStream, while_listening
from ocg.protocol import wire
from ocg.protocol.asking import wrong
from ocg.protocol.openai import ChatAnswer, ChatChunk, ChatRequest, with_model

_Pieces = AsyncGenerator[Piece, None]


class ChatRoute:
    """Hands each request to whom its model names; what a model answers itself is passed through as it is."""

    def __init__(self, chats: Chats, agent: Agent, embedding: Embedding, limits: Limits) -> None:
        self._chats = chats
        self._agent = agent
        self._embedding = embedding
        self._limits = limits

    def endpoints(self) -> tuple[Endpoint, ...]:
        """List them."""
        return (
            Endpoint(
                "POST", "/v1/chat/completions", "Continue a conversation", self.chat, ChatAnswer,
                takes=ChatRequest, streams=ChatChunk, last="[DONE]", parameters=(SESSION,),
                errors=ERRORS, scope="chat", tag="OpenAI",
            ),
        )  # fmt: skip

    async def chat(self, request: Request) -> Response:
        """Answer, whole or as a stream."""
        body = await answers.read_bytes(request)
        named = wire.decode(ChatNamed, body)
        gate.count(request, self._limits, named.n or 1)
        answerer = Answerer.of(named.model)
        match answerer.kind:
            case Kind.LOCAL:
                sent = body if answerer.model == named.model else with_model(body, answerer.model)
                return passed(self._embedding, PATH, sent)
            case Kind.PROVIDER:
                path = f"/v1/providers/{answerer.provider}/chat/completions"
                return passed(self._agent, path, body)
            case Kind.AGENT:
                return await self._turn(request, wire.decode(AgentChat, body))

    async def _turn(self, request: Request, chat: AgentChat) -> Response:
        chat.check()
        asker = Asker.of(request)
        if (chat.n or 1) > 1 and (asker.session is not None or chat.user):
            raise wrong("n", "a session has one answer to each message", "leave out the session, or n")
        opened = await while_listening(request, self._open(chat, asker))
        if not chat.stream:
            return answers.answer(completion(await while_listening(request, together(map(whole, opened)))))
        return EventStream(_frames(merged(opened), Written(wants_usage=chat.wants_usage)))

    async def _open(self, chat: AgentChat, asker: Asker) -> list[_Pieces]:
        """Begin as many answers as are asked for, all or none."""
        begun: list[_Pieces] = []

        async def begin() -> None:
            begun.append(await self._chats.open(chat, asker))

        try:
            await together(begin() for _ in range(chat.n or 1))
        except BaseException:
            for one in begun:
                await one.aclose()
            raise
        return begun


async def _frames(pieces: AsyncGenerator[tuple[int, Piece], None], written: Written) -> AsyncGenerator[bytes, None]:
    try:
        async with aclosing(with_heartbeats(pieces)) as beats:
            async for found in beats:
                if found is None:
                    yield HEARTBEAT
                    continue
                index, piece = found
                for chunk in written.of(piece, index):
                    yield chunk
        yield written.end()
    except OcgError as error:
        yield error_frame(error)
