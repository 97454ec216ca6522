"""An OpenAI-compatible stream, put together from whatever pieces it comes in."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocg.agent.providers.assembly import Assembly
from ocg.agent.providers.base import Reply
from ocg.agent.providers.refusal import Passing, RefusedError, Settings, from_api, from_service
from ocg.errors import Code, OcgError
from ocg.protocol import sse


def _chunk(finish: str | None = None, **delta: Any) -> bytes:
    return json.dumps({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}).encode()


def _call(part: str, **fields: Any) -> bytes:
    return _chunk(tool_calls=[{"function": {"arguments": part}} | fields])


def _assembled(*chunks: bytes) -> Reply:
    assembly = Assembly("x")
    for chunk in chunks:
        assembly.take(chunk)
    *_, reply = assembly.end()
    assert isinstance(reply, Reply)
    return reply


async def _fed(data: bytes, cuts: list[int]) -> list[bytes]:
    async def pieces() -> AsyncIterator[bytes]:
        at = 0
        for cut in sorted({cut % (len(data) + 1) for cut in cuts} | {len(data)}):
            yield data[at:cut]
            at = cut

    return [event async for event in sse.data_of(pieces())]


@given(st.text(max_size=40), st.lists(st.integers(min_value=0), max_size=12), st.integers(min_value=1, max_value=5))
async def test_a_stream_cut_anywhere_gives_the_same_answer(text: str, cuts: list[int], size: int) -> None:
    words = [text[at : at + size] for at in range(0, len(text), size)]
    events = [_chunk(content=word) for word in words]
    events += [_call('{"a', index=0, id="one"), _call('": 1}', index=0), _chunk("tool_calls")]
    data = b": ping\r\n\r\n" + b"".join(b"data: " + event + b"\n\n" for event in events)
    reply = _assembled(*await _fed(data, cuts))
    assert reply.text == text
    assert [(call.id, call.arguments) for call in reply.tool_calls] == [("one", '{"a": 1}')]


def test_calls_without_indices_and_ids_are_kept_apart() -> None:
    first = {"id": "a", "function": {"name": "f", "arguments": "{"}}
    chunks = (_chunk(tool_calls=[first]), _call("}"), _call("{}", id="b"), _chunk("tool_calls"))
    assert [(call.id, call.arguments) for call in _assembled(*chunks).tool_calls] == [("a", "{}"), ("b", "{}")]
    nameless = _assembled(_call("{}", index=0), _call("[]", index=1), _chunk("stop")).tool_calls
    assert len({call.id for call in nameless}) == 2
    assert [call.arguments for call in nameless] == ["{}", "[]"]


def test_an_id_that_comes_with_every_fragment_is_one_call() -> None:
    chunks = (_call('{"zone": ', id="a"), _call('"UTC"}', id="a"), _chunk("tool_calls"))
    assert [call.arguments for call in _assembled(*chunks).tool_calls] == ['{"zone": "UTC"}']


def test_a_stream_that_ends_early_is_no_answer() -> None:
    with pytest.raises(Passing, match="in the middle"):
        _assembled(_chunk(content="half"))
    with pytest.raises(Passing, match="with nothing"):
        _assembled()


@pytest.mark.parametrize(
    "event", [b"{", b"[]", b'{"choices": 5}', b'{"error": "overloaded"}', b"\xff", b'{"error":' + b"[" * 9999]
)
def test_what_is_no_chunk_is_a_provider_error(event: bytes) -> None:
    with pytest.raises(OcgError) as raised:
        Assembly("x").take(event)
    assert raised.value.code is Code.PROVIDER


@pytest.mark.parametrize("event", [_chunk(content="x" * 100_000), _call("y" * 100_000, index=0), _chunk()])
def test_an_answer_without_an_end_is_ended(event: bytes) -> None:
    assembly = Assembly("x")

    def flood() -> None:
        for _ in range(100_001):
            assembly.take(event)

    with pytest.raises(OcgError, match="come to an end"):
        flood()


def test_the_names_of_calls_count_too() -> None:
    with pytest.raises(OcgError, match="come to an end"):
        _assembled(*(_call("", index=at, function={"name": "x" * 100_000}) for at in range(11)))


async def test_an_event_without_an_end_is_ended() -> None:
    with pytest.raises(OcgError, match="4 MiB"):
        await _fed(b"data: " + b"x" * (5 << 20), [])
    with pytest.raises(OcgError, match="4 MiB"):
        await _fed((b"data: " + b"x" * 65536 + b"\n") * 80, [1 << 20, 2 << 20, 3 << 20, 5 << 20])
    with pytest.raises(OcgError, match="4 MiB"):  # of lines without data
        await _fed(b"data:\n" * (1 << 20), [])


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"error": {"message": "no such model", "code": null}}', "no such model"),
        (b'{"error": "plain"}', "plain"),
        (b'{"detail": [{"msg": "field required"}]}', "field required"),
        (b'{"object": "error", "message": "vllm says"}', "vllm says"),
        (b'{"message": {"detail": [{"loc": ["body", "x"], "msg": "not permitted"}]}}', "body.x: not permitted"),
        (b"<html>\n bad  gateway", "<html> bad gateway"),
        (b"", "no explanation"),
        (b"key sk-1 is wrong", "key [key] is wrong"),
    ],
)
def test_an_error_is_told_in_its_own_words_without_the_key(body: bytes, said: str) -> None:
    refusal = from_api("host", 400, "", body, settings=Settings("sk-1"))
    assert refusal.error.message == f"host: HTTP 400: {said}"
    assert isinstance(refusal.error, RefusedError)
    assert not refusal.is_passing


def test_retry_after_is_seconds_or_a_date() -> None:
    assert from_api("h", 429, "7", b"", settings=Settings()).after_s == 7
    assert from_api("h", 429, "Fri, 01 Jan 2100 00:00:00 GMT", b"", settings=Settings()).after_s > 1e9  # type: ignore[operator] # not None
    assert from_api("h", 429, "Fri, 01 Jan 2010 00:00:00 GMT", b"", settings=Settings()).after_s == 0
    assert from_api("h", 503, "soon", b"", settings=Settings()).after_s is None


@pytest.mark.parametrize(
    "body",
    [
        b'{"error": {"code": "context_length_exceeded", "message": "too long"}}',
        b'{"error": {"type": "exceed_context_size_error", "message": "n"}}',
        b'{"message": "maximum context length is 4096 tokens"}',
        b'{"type": "error", "error": {"type": "invalid_request_error", "message": "prompt is too long: 9 tokens > 8"}}',
        b'[{"error": {"message": "The input token count (9) exceeds the maximum number of tokens allowed (8)."}}]',
    ],
)
def test_a_prompt_that_is_too_long_is_known_in_every_dialect(body: bytes) -> None:
    assert from_api("h", 400, "", body, settings=Settings()).error.code is Code.CONTEXT_LENGTH
    assert from_api("h", 500, "", body, settings=Settings()).error.code is Code.PROVIDER


def test_an_error_of_our_own_service_is_passed_on_as_it_is() -> None:
    body = b'{"error": {"code": "model_missing", "message": "no chat model", "hint": "ocg models pull"}}'
    refusal = from_service(503, body)
    assert (refusal.error.code, refusal.error.hint) == (Code.MODEL_MISSING, "ocg models pull")
    assert not refusal.is_passing
    assert from_service(429, b'{"error": {"code": "busy", "message": "wait"}}').is_passing
