"""What is passed through as it is: the request's bytes to the service that answers, and its answer's back."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack

from starlette.requests import Request
from starlette.responses import Response

from ocg.errors import OcgError
from ocg.gateway.chats.upstream import SILENCE_S
from ocg.gateway.openai.answer import error_frame
from ocg.gateway.upstream import Agent, Embedding
from ocg.lifecycle.stream import EventStream, while_listening
from ocg.protocol import wire


async def passed(
    request: Request, service: Agent | Embedding, path: str, body: bytes, *, stream: bool = False
) -> Response:
    """Ask a service and answer what it answers, for as long as the client waits for it."""
    duty = _streamed(service, path, body) if stream else _whole(service, path, body)
    return await while_listening(request, duty)


async def _whole(service: Agent | Embedding, path: str, body: bytes) -> Response:
    async with service.send("POST", path, data=body, silence_s=SILENCE_S) as response:
        return Response(await service.whole(response), media_type=wire.JSON)


async def _streamed(service: Agent | Embedding, path: str, body: bytes) -> Response:
    """Open the stream, so that an error before its first byte has an HTTP status, and pass its bytes on."""
    async with AsyncExitStack() as stack:
        response = await stack.enter_async_context(service.send("POST", path, data=body, silence_s=SILENCE_S))
        return EventStream(_bytes(response.content.iter_any(), stack.pop_all()))


async def _bytes(content: AsyncIterator[bytes], stack: AsyncExitStack) -> AsyncGenerator[bytes, None]:
    try:
        async with stack:
            async for chunk in content:
                yield chunk
    except OcgError as error:
        yield error_frame(error)
