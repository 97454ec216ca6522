"""POST /api/chat and /api/generate."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from ocg.errors import OcgError
from ocg.gateway.chats.chats import ERRORS, SESSION, Answerer, Chats, Kind
from ocg.gateway.chats.pieces import Piece, whole
from ocg.gateway.chats.turn import Asker
from ocg.gateway.ollama import errors
from ocg.gateway.ollama.answer import ChatLine, GenerateLine, Line, Lines, chat_line, generate_line
from ocg.gateway.ollama.chat import chat_of, completion_of
from ocg.gateway.ollama.request import Asked, OllamaChat, OllamaPrompt, plain
from ocg.gateway.openai.models import Models
from ocg.gateway.stream import with_heartbeats
from ocg.lifecycle import answers
from ocg.lifecycle.endpoints import NDJSON, Endpoint
from ocg.lifecycle.stream import EventStream, while_listening
from ocg.protocol import openai, wire


class LineStream(EventStream):
    """The same with a line of JSON an event."""

    media_type = NDJSON


class ChatRoutes:
    """The routes."""

    def __init__(self, chats: Chats, models: Models) -> None:
        self._chats = chats
        self._models = models

    def endpoints(self) -> tuple[Endpoint, ...]:
        """List them."""
        shared = partial(
            Endpoint, flow=NDJSON, parameters=(SESSION,), errors=ERRORS, failure=errors.OllamaError,
            scope="chat", tag="Ollama",
        )  # fmt: skip
        return (
            shared(
                "POST", "/api/chat", "Continue a conversation", self.ollama_chat, ChatLine,
                takes=OllamaChat, streams=ChatLine,
            ),
            shared(
                "POST", "/api/generate", "Answer a prompt", self.ollama_generate, GenerateLine,
                takes=OllamaPrompt, streams=GenerateLine,
            ),
        )  # fmt: skip

    async def ollama_chat(self, request: Request) -> Response:
        """Continue a conversation."""
        asked = await answers.read(request, OllamaChat)
        lines = Lines(asked.model, chat_line, shows_thoughts=asked.wants_thoughts)
        return await self._answer(request, asked, chat_of(asked) if asked.messages else None, lines)

    async def ollama_generate(self, request: Request) -> Response:
        """Answer a prompt."""
        asked = await answers.read(request, OllamaPrompt)
        lines = Lines(asked.model, generate_line, shows_thoughts=asked.wants_thoughts)
        return await self._answer(request, asked, completion_of(asked) if asked.prompt else None, lines)

    async def _answer(self, request: Request, asked: Asked, chat: openai.ChatRequest | None, lines: Lines) -> Response:
        asker = Asker.of(request)
        if chat is None:
            await self._check(plain(asked.model))
            return answers.answer(lines.nothing())
        pieces = lines.timed(await while_listening(request, self._chats.open(chat, asker)))
        if asked.streams:
            return LineStream(_written(pieces, lines))
        return answers.answer(lines.whole(await while_listening(request, whole(pieces))))

    async def _check(self, model: str) -> None:
        """Raise MODEL_UNKNOWN for a local model that is not there: with nothing to say, clients ask for it so."""
        if Answerer.of(model).kind is Kind.LOCAL:
            await self._models.find(model)


async def _written(pieces: AsyncGenerator[Piece, None], lines: Lines) -> AsyncGenerator[bytes, None]:
    try:
        async with aclosing(with_heartbeats(pieces)) as beats:
            async for piece in beats:
                if written := b"".join(map(_line, lines.of(piece))):
                    yield written
    except OcgError as error:
        yield errors.line(error)


def _line(line: Line) -> bytes:
    return wire.encode(line) + b"\n"
