"""POST /v1/responses, and what becomes of a response that is kept."""

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from ocg.errors import Code, OcgError
from ocg.gateway.caller import Caller, who
from ocg.gateway.chats.chats import ERRORS, SESSION, Chats
from ocg.gateway.chats.pieces import Piece
from ocg.gateway.chats.turn import Asker
from ocg.gateway.openai.responses.answer import DeletedResponse, InputItems, ResponseObject, response_to
from ocg.gateway.openai.responses.events import StreamedEvent, frame
from ocg.gateway.openai.responses.items import Item, items_of
from ocg.gateway.openai.responses.keeping import Keeping
from ocg.gateway.openai.responses.request import CreateResponse, chat_of
from ocg.gateway.openai.responses.writer import Writer
from ocg.gateway.stream import HEARTBEAT, with_heartbeats
from ocg.gateway.upstream import UPSTREAM_ERRORS, Agent
from ocg.lifecycle import answers
from ocg.lifecycle.endpoints import Endpoint, Parameter
from ocg.lifecycle.stream import EventStream, while_listening
from ocg.protocol import wire
from ocg.protocol.asking import wrong
from ocg.protocol.messages import Name

_MAX_LISTED = 100
_ONE = (Code.INVALID_REQUEST, Code.NOT_FOUND, *UPSTREAM_ERRORS)
_LIMIT = Parameter(
    "limit",
    Annotated[int, msgspec.Meta(ge=1, le=_MAX_LISTED, extra_json_schema={"default": 20})],
    "how many at the most",
)
_ORDER = Parameter("order", Literal["asc", "desc"], "the oldest first, or the newest, which is the default")
_AFTER = Parameter("after", Name, "the id of the item behind which the page begins")


@dataclass(frozen=True, slots=True)
class _Work:
    """A response that is being made: the pieces it is made of, who writes it, and what is kept with it."""

    pieces: AsyncGenerator[Piece, None]
    writer: Writer
    new: tuple[Item, ...]
    asking: Caller


class ResponseRoutes:
    """OpenAI's Responses API."""

    def __init__(self, chats: Chats, agent: Agent) -> None:
        self._chats = chats
        self._keeping = Keeping(agent)

    def endpoints(self) -> Iterator[Endpoint]:
        """List them."""
        kept = partial(Endpoint, path="/v1/responses/{id}", named=Name, errors=_ONE, scope="chat", tag="OpenAI")
        yield Endpoint(
            "POST", "/v1/responses", "Make a response", self.create_response, ResponseObject,
            takes=CreateResponse, streams=StreamedEvent, parameters=(SESSION,),
            errors=(Code.PREVIOUS_UNKNOWN, Code.NOT_FOUND, *ERRORS), scope="chat", tag="OpenAI",
        )  # fmt: skip
        yield kept(
            "GET", summary="Read a response that is kept", handler=self.response, gives=ResponseObject,
        )  # fmt: skip
        yield kept(
            "DELETE", summary="Delete a response for good", handler=self.delete_response, gives=DeletedResponse,
        )  # fmt: skip
        yield kept(
            "GET", path="/v1/responses/{id}/input_items", summary="List what was new to a response",
            handler=self.response_input, gives=InputItems, parameters=(_LIMIT, _ORDER, _AFTER),
        )  # fmt: skip
        yield kept(
            "POST", path="/v1/responses/{id}/cancel", summary="Cancel a response: refused, since what is kept is over",
            handler=self.cancel_response, gives=ResponseObject, is_free=True,
        )  # fmt: skip

    async def create_response(self, request: Request) -> Response:
        """Answer, whole or as a stream."""
        asked = await answers.read(request, CreateResponse)
        work = await while_listening(request, self._begin(request, asked))
        if asked.stream:
            return EventStream(self._told(work))
        await while_listening(request, self._whole(work))
        return answers.answer(work.writer.response)

    async def response(self, request: Request) -> Response:
        """Read a response that is kept."""
        if request.query_params.get("stream", "false") != "false":
            raise wrong("stream", "what is kept is whole", "leave it out")
        return answers.answer(await self._keeping.response(_id_of(request), who(request)))

    async def delete_response(self, request: Request) -> Response:
        """Delete a response for good."""
        response_id = _id_of(request)
        await self._keeping.delete(response_id, who(request))
        return answers.answer(DeletedResponse(id=response_id))

    async def response_input(self, request: Request) -> Response:
        """List the items that were new to a response, page by page."""
        limit = answers.number(request, "limit", default=20, least=1, most=_MAX_LISTED)
        order = request.query_params.get("order", "desc")
        if order not in {"asc", "desc"}:
            raise wrong("order", "expected asc or desc", "correct it")
        items = await self._keeping.input_items(_id_of(request), who(request))
        rest = _behind(items if order == "asc" else items[::-1], request.query_params.get("after"))
        return answers.answer(_page(rest, limit))

    async def cancel_response(self, request: Request) -> Response:
        """Refuse: what runs ends when its client goes, and what is kept is over."""
        await self._keeping.response(_id_of(request), who(request))
        raise wrong("id", "this response is over", "to end one that runs, close its stream")

    async def _begin(self, request: Request, asked: CreateResponse) -> _Work:
        asked.check()
        asker, response = Asker.of(request), response_to(asked)
        new = await self._keeping.resolved(items_of(asked.input), asker.caller)
        before: tuple[Item, ...] = ()
        if asked.previous_response_id is not None:
            if asker.session is not None:
                why = "a session knows itself what came before"
                raise wrong("previous_response_id", why, "leave it out, or the header X-OCG-Session")
            before = await self._keeping.conversation(asked.previous_response_id, asker.caller)
        pieces = await self._chats.open(chat_of(asked, before + new), asker)
        return _Work(pieces, Writer(response), new, asker.caller)

    async def _whole(self, work: _Work) -> Literal[True]:
        async with aclosing(work.pieces):
            async for piece in work.pieces:
                for _ in work.writer.of(piece):
                    pass
        await self._keep(work)
        return True

    async def _told(self, work: _Work) -> AsyncGenerator[bytes, None]:
        writer = work.writer
        try:
            async with aclosing(with_heartbeats(work.pieces)) as beats:
                yield b"".join(map(frame, writer.begin()))
                async for piece in beats:
                    if told := HEARTBEAT if piece is None else b"".join(map(frame, writer.of(piece))):
                        yield told
            await self._keep(work)
            yield frame(writer.last())
        except OcgError as error:
            yield frame(writer.failed(error))

    async def _keep(self, work: _Work) -> None:
        """Have it on the disk before anybody hears that it is whole."""
        response = work.writer.response
        if response.store:
            await self._keeping.keep(response, work.new, work.asking.name)


def _id_of(request: Request) -> str:
    """Return the id in the path. Raises INVALID_REQUEST when it is none, before it becomes part of another path."""
    return wire.convert(Name, request.path_params["id"], where="id")


def _behind(items: tuple[Item, ...], after: str | None) -> tuple[Item, ...]:
    if after is None:
        return items
    at = next((number for number, item in enumerate(items) if item.id == after), None)
    if at is None:
        raise wrong("after", "no item has this id", "give the last page's last_id")
    return items[at + 1 :]


def _page(items: tuple[Item, ...], limit: int) -> InputItems:
    data = items[:limit]
    ids = [item.id for item in data]
    return InputItems(
        data=data,
        first_id=ids[0] if ids else None,
        last_id=ids[-1] if ids else None,
        has_more=len(items) > limit,
    )
