"""POST /v1/chat/completions: a turn of the agent, or a local model's own answer."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from starlette.requests import Request
from starlette.responses import Response

from ocg.errors import Code, OcgError
from ocg.gateway.openai.answer import Chunks, completion, error_frame, failure
from ocg.gateway.openai.models import Models
from ocg.gateway.openai.request import AgentChat, ModelNamed, turn_of
from ocg.gateway.stream import HEARTBEAT, with_heartbeats
from ocg.gateway.tasks import Tasks
from ocg.gateway.upstream import UPSTREAM_ERRORS, Agent
from ocg.lifecycle import answers
from ocg.lifecycle.endpoints import Endpoint, Parameter
from ocg.lifecycle.stream import EventStream, while_listening
from ocg.protocol import wire
from ocg.protocol.events import LAST, TextDelta, TurnCompleted, TurnEvent, TurnFailed, TurnResumed, TurnStarted
from ocg.protocol.messages import Name, TurnRequest
from ocg.protocol.openai import ChatAnswer, ChatChunk, ChatRequest

_Beats = AsyncGenerator[TurnEvent | None, None]


_SESSION = Parameter("X-OCG-Session", Name, "the agent's session to go on in", place="header")


class ChatRoute:
    """Hands each request to whom its model names."""

    def __init__(self, agent: Agent, models: Models, tasks: Tasks) -> None:
        self._agent = agent
        self._models = models
        self._tasks = tasks

    def endpoints(self) -> tuple[Endpoint, ...]:
        """List them."""
        unable = (Code.MODEL_UNKNOWN, Code.MODEL_MISSING, Code.CONTEXT_LENGTH, Code.LIMIT, Code.CANCELLED)
        return (
            Endpoint(
                "POST", "/v1/chat/completions", "Continue a conversation", self.chat, ChatAnswer,
                takes=ChatRequest, streams=ChatChunk, last="[DONE]", parameters=(_SESSION,),
                errors=(*unable, *UPSTREAM_ERRORS), scope="chat", tag="OpenAI",
            ),
        )  # fmt: skip

    async def chat(self, request: Request) -> Response:
        """Answer, whole or as a stream."""
        body = await answers.read_bytes(request)
        named = wire.decode(ModelNamed, body)
        if not named.is_for_agent:
            return await self._models.chat(request, named, body)
        chat = wire.decode(AgentChat, body)
        asked = turn_of(chat, request.headers.get("x-ocg-session"))
        if chat.stream:
            return await self._stream(request, chat, asked)
        return answers.answer(completion(await while_listening(request, self._whole(asked))))

    async def _whole(self, asked: TurnRequest) -> TurnCompleted:
        async with aclosing(self._turn(asked)) as events:
            async for event in events:
                if isinstance(event, TurnCompleted):
                    return event
                if isinstance(event, TurnFailed):
                    raise failure(event)
        raise OcgError(Code.INTERNAL, "a turn ended without a last event", "see ocg-agent's log")

    async def _stream(self, request: Request, chat: AgentChat, asked: TurnRequest) -> Response:
        events = with_heartbeats(self._turn(asked))
        try:
            first = await while_listening(request, _first_said(events))
        except BaseException:
            await events.aclose()
            raise
        return EventStream(_chunks(first, events, Chunks(first, wants_usage=chat.wants_usage)))

    async def _turn(self, asked: TurnRequest) -> AsyncGenerator[TurnEvent, None]:
        """Run a turn; one that belongs to no session ends with whoever waits for it."""
        is_over = False
        try:
            async with aclosing(self._agent.turn(asked)) as events:
                async for event in events:
                    is_over = isinstance(event, LAST)
                    yield event
        except OcgError:
            is_over = True  # or out of reach
            raise
        finally:
            if not is_over and asked.kind == "api":
                self._tasks.start(self._abandon(asked))

    async def _abandon(self, asked: TurnRequest) -> None:
        """Cancel a turn; joined by its message id, it says its own, even if its client left before it began."""
        async with aclosing(self._agent.turn(asked)) as events:
            async for event in events:
                if not isinstance(event, LAST):
                    await self._agent.cancel(event.turn_id)
                break


async def _first_said(events: _Beats) -> TurnEvent:
    """Return the first event that shows how the turn fares, so that one that fails at once has an HTTP status."""
    async for event in events:
        if isinstance(event, TurnFailed):
            raise failure(event)
        if event is not None and not isinstance(event, TurnStarted):
            return event
    raise OcgError(Code.INTERNAL, "a turn ended without a last event", "see ocg-agent's log")


async def _chunks(first: TurnEvent, events: _Beats, chunks: Chunks) -> AsyncGenerator[bytes, None]:
    try:
        yield chunks.role() + _chunk(first, chunks)
        async for event in events:
            if chunk := _chunk(event, chunks):
                yield chunk
    except OcgError as error:
        yield error_frame(error)
    finally:
        await events.aclose()


def _chunk(event: TurnEvent | None, chunks: Chunks) -> bytes:
    """Write what an event adds; the agent's own tool calls add nothing."""
    match event:
        case None:
            return HEARTBEAT
        case TextDelta():
            return chunks.text(event.text)
        case TurnCompleted():
            return chunks.end(event)
        case TurnFailed():
            return error_frame(failure(event))
        case TurnResumed():
            raise OcgError(Code.UNAVAILABLE, "the agent was restarted in the middle of its answer", "ask again")
        case _:
            return b""
