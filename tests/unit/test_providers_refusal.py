"""What an API's refusal means: whose fault it is, and when to ask again."""

import asyncio
import json
import time
from contextlib import aclosing
from typing import Any

import pytest

from ocg.agent.providers.base import Model, Piece, PromptMessage
from ocg.agent.providers.openai import OpenAIProvider, host_of
from ocg.agent.providers.refusal import RefusedError, Settings, from_api
from ocg.errors import Code, OcgError
from tests.provider import Exchange, Script, provider, says


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("Your credit balance is too low to access the Anthropic API.", "top up"),
        ("API key not valid. Please pass a valid API key.", "valid key"),
        ("Incorrect API key provided", "valid key"),
        ("Model not exist", "OCG_MODEL"),
        ("gpt-9 is not a valid model ID", "OCG_MODEL"),
    ],
)
def test_a_400_that_is_about_the_account_is_the_providers(said: str, hint: str) -> None:
    refusal = from_api("x", 400, "", json.dumps({"error": {"message": said}}).encode(), settings=Settings())
    assert not isinstance(refusal.error, RefusedError)
    assert (refusal.error.code, hint in refusal.error.hint) == (Code.PROVIDER, True)


def test_a_400_that_is_about_the_request_is_the_requests() -> None:
    body = b'{"error": {"message": "messages: at least one is required"}}'
    assert isinstance(from_api("x", 400, "", body, settings=Settings()).error, RefusedError)


@pytest.mark.parametrize("after", ["nan", "inf", "-inf", "soon"])
def test_a_time_that_is_none_is_ignored(after: str) -> None:
    assert from_api("x", 429, after, b"", settings=Settings()).after_s is None


def test_a_key_is_taken_out_however_json_writes_it_and_where_the_text_is_cut() -> None:
    body = b'{"error": {"message": "' + b"x" * 290 + b' sk-a\\/secret-key"}}'
    assert "secret" not in str(from_api("x", 401, "", body, settings=Settings(secret="sk-a/secret-key")).error)


def test_two_ways_to_log_in_are_one_too_many() -> None:
    with pytest.raises(OcgError, match="only one of them") as raised:
        host_of("http://user:pa55word@host/v1", "key")
    assert raised.value.code is Code.CONFIG_INVALID
    assert "pa55word" not in str(raised.value)


async def test_an_explanation_that_comes_in_pieces_is_read_whole() -> None:
    def script(exchange: Exchange) -> None:
        exchange.raw(b"HTTP/1.1 400 Bad\r\nConnection: close\r\n\r\n" + b'{"error": {"message": "This model')
        time.sleep(0.2)
        exchange.raw(b"'s maximum context length is 9\"}}")

    assert (await _failure(script)).code is Code.CONTEXT_LENGTH


async def test_what_was_shown_is_not_asked_for_again_with_less() -> None:
    def script(exchange: Exchange) -> None:
        exchange.begin()
        exchange.delta(content="Half")
        exchange.raw(b'data: {"error": {"message": "Context size has been exceeded."}}\n\n')

    assert (await _failure(script)).code is Code.PROVIDER


async def test_a_quirk_is_believed_where_it_is_said_and_nowhere_else() -> None:
    echo = {"error": {"message": "no", "input": "stream_options"}}

    def script(exchange: Exchange) -> None:
        exchange.error(400, echo)

    with provider(script, says("hi")) as server:
        with pytest.raises(OcgError):
            await _pieces(server.base_url)
        assert len(server.asked) == 1


async def test_a_server_that_does_not_read_is_given_up() -> None:
    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reader._transport.pause_reading()  # type: ignore[attr-defined] # what a hung server does
        await is_over.wait()
        writer.close()

    is_over = asyncio.Event()
    server = await asyncio.start_server(swallow, "127.0.0.1", 0, limit=1)
    host, port = server.sockets[0].getsockname()[:2]
    try:
        with pytest.raises(OcgError) as raised:
            async with asyncio.timeout(20):
                await _pieces(f"http://{host}:{port}/v1", "x" * (40 << 10), silence_s=0.5)
        assert raised.value.code is Code.TIMEOUT
    finally:
        is_over.set()
        server.close()


async def _failure(script: Script) -> OcgError:
    with provider(script) as server, pytest.raises(OcgError) as raised:
        await _pieces(server.base_url)
    return raised.value


async def _pieces(url: str, message: str = "hi", **options: Any) -> list[Piece]:
    found = OpenAIProvider("x", url, Settings(), Model("m", 4096), **options)
    try:
        async with aclosing(found.reply([PromptMessage("user", message)], [], max_tokens=9)) as pieces:
            return [piece async for piece in pieces]
    finally:
        await found.close()
