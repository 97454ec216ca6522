"""What passes requests on to a provider, over connections that are kept."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from ocg.agent.providers.passthrough import Passthrough, renamed
from ocg.agent.providers.places import Place
from ocg.agent.providers.refusal import Settings
from ocg.config.presets import Dialect
from ocg.errors import Code, OcgError

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@asynccontextmanager
async def _server(*answers: bytes) -> AsyncIterator[tuple[str, list[int]]]:
    """Answer so many requests; an empty answer closes the connection. Gives the URL, and each request's connection."""
    waiting, seen, connections = list(answers), list[int](), 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        number = connections
        while await reader.readline():
            while await reader.readline() != b"\r\n":
                pass
            await reader.readexactly(2)
            seen.append(number)
            if not (answer := waiting.pop(0)):
                break
            writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1")
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", seen


async def _asked(passthrough: Passthrough, url: str) -> bytes:
    place = Place("Theirs", url, Dialect.OPENAI, Settings())
    async with passthrough.open(place, url, b"{}", {}) as opened:
        return b"".join([chunk async for chunk in opened.chunks])


async def test_a_kept_connection_that_was_closed_is_opened_again() -> None:
    passthrough = Passthrough()
    try:
        async with _server(ANSWER, b"", ANSWER) as (url, seen):
            assert [await _asked(passthrough, url) for _ in range(2)] == [b"{}", b"{}"]
            assert seen == [1, 1, 2]
    finally:
        await passthrough.close()


@pytest.mark.parametrize(("before", "seen"), [((), [1]), ((ANSWER, b""), [1, 1, 2])])
async def test_what_was_read_on_a_new_connection_is_not_asked_again(before: tuple[bytes, ...], seen: list[int]) -> None:
    passthrough = Passthrough()
    try:
        async with _server(*before, b"", ANSWER) as (url, found):
            if before:
                assert await _asked(passthrough, url) == b"{}"
            with pytest.raises(OcgError, match="Theirs broke off") as failed:
                await _asked(passthrough, url)
            assert (failed.value.code, found) == (Code.PROVIDER, seen)
    finally:
        await passthrough.close()


async def test_who_is_not_there_is_named() -> None:
    passthrough = Passthrough()
    try:
        with pytest.raises(OcgError, match="Theirs cannot be reached: Connection refused") as failed:
            await _asked(passthrough, "http://user:password@127.0.0.1:1")
        assert failed.value.code is Code.UNAVAILABLE
    finally:
        await passthrough.close()


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        (b'{"model":"openrouter/a/b"}', b'{"model":"a/b"}'),
        (b'{"model":"openrouter/openrouter/auto"}', b'{"model":"openrouter/auto"}'),
        (b'{"model":"auto" }', b'{"model":"auto" }'),
        (b'{"model":"x","model":"openrouter/y","z":1e2}', b'{"model":"y","z":1e2}'),
    ],
)
def test_the_model_alone_is_renamed(asked: bytes, sent: bytes) -> None:
    assert renamed(asked, "openrouter") == sent


@pytest.mark.parametrize("n", [b"0", b"17", b"1e3", b'"2"', b'2,"n":17'])
def test_only_so_many_answers_can_be_asked_for_at_once(n: bytes) -> None:
    assert renamed(b'{"model":"custom/x","n":16}', "custom") == b'{"model":"x","n":16}'
    with pytest.raises(OcgError) as refused:
        renamed(b'{"model":"custom/x","n":' + n + b"}", "custom")
    assert (refused.value.code, refused.value.param) == (Code.INVALID_REQUEST, "n")


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"model":3}', b'{"model":"openrouter/"}', b'{"model":""}'])
def test_a_body_that_names_no_model_is_refused(body: bytes) -> None:
    with pytest.raises(OcgError) as refused:
        renamed(body, "openrouter")
    assert refused.value.code is Code.INVALID_REQUEST
