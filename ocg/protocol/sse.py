"""Server-sent events: the stream the agent's turns and OpenAI-compatible chats come in (WHATWG HTML, 9.2)."""

from collections.abc import AsyncGenerator, AsyncIterable

from ocg.errors import Code, OcgError

CONTENT_TYPE = "text/event-stream"
_MAX_EVENT_BYTES = 4 << 20


def frame(data: bytes, *, event_id: int | None = None) -> bytes:
    """Wrap one JSON text, which holds no newline, as an event."""
    head = b"" if event_id is None else b"id: %d\n" % event_id
    return head + b"data: " + data + b"\n\n"


async def data_of(chunks: AsyncIterable[bytes]) -> AsyncGenerator[bytes, None]:
    """Give each event's data out of a byte stream cut anywhere; an unfinished event at its end is dropped.

    Raises PROVIDER when an event is larger than 4 MiB.
    """
    rest = b""
    data: list[bytes] = []
    size = 0
    async for chunk in chunks:
        rest += chunk
        *lines, rest = rest.split(b"\n")
        for raw in lines:
            line = raw.removesuffix(b"\r")
            if line.startswith(b"data:"):
                data.append(line[5:].removeprefix(b" "))
                size += len(raw)  # with its name: lines without data take memory too
            elif not line and data:
                yield b"\n".join(data)
                data, size = [], 0
        if len(rest) + size > _MAX_EVENT_BYTES:
            raise OcgError(
                Code.PROVIDER, "the stream has an event larger than 4 MiB", "check what answers at that address"
            )
