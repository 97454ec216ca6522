"""A chat completion becomes a turn, and what cannot be had is refused by name."""

from typing import Any

import pytest

from ocg.errors import Code, OcgError
from ocg.gateway.openai.request import AgentChat, ModelNamed, turn_of
from ocg.protocol import wire
from ocg.protocol.messages import ContextMessage, Image, TurnRequest

HI = {"role": "user", "content": "hi"}


def _turn(body: dict[str, Any], session: str | None = None) -> TurnRequest:
    return turn_of(wire.decode(AgentChat, wire.encode({"messages": [HI]} | body)), session)


def _refusal(body: dict[str, Any], session: str | None = None) -> str | None:
    with pytest.raises(OcgError) as caught:
        _turn(body, session)
    assert caught.value.code is Code.INVALID_REQUEST
    return caught.value.param


def test_without_a_session_earlier_messages_are_the_context() -> None:
    said = [
        {"role": "system", "content": "be brief"},
        {"role": "developer", "content": "very"},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {"role": "assistant", "content": None},
        HI,
    ]
    turn = _turn({"messages": said, "temperature": 0.1, "max_tokens": 5, "unheard_of": {}})
    assert (turn.kind, turn.message, turn.session_id) == ("api", "hi", None)
    assert turn.message_id
    assert turn.context == (
        ContextMessage(role="system", content="be brief"),
        ContextMessage(role="system", content="very"),
        ContextMessage(role="user", content="ab"),
        ContextMessage(role="assistant", content=""),
    )


def test_in_a_session_only_the_last_message_counts() -> None:
    body = {"messages": [{"role": "assistant", "content": "old"}, HI]}
    for turn in (_turn(body, "work"), _turn(body | {"user": "work"}), _turn(body | {"user": "other"}, "work")):
        assert (turn.kind, turn.message, turn.session_id, turn.context) == ("chat", "hi", "work", ())


def test_any_user_has_a_session_and_always_the_same() -> None:
    names = [_turn({"user": user}).session_id for user in ("Ann Other/../x", "Ann Other/../x", "Bob Other")]
    assert names[0] == names[1] != names[2]
    assert names[0] is not None
    assert names[0].startswith("user-")


def _seen(*urls: str) -> dict[str, Any]:
    """A user's message with pictures."""
    pictures = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    return {"role": "user", "content": [{"type": "text", "text": "what is it?"}, *pictures]}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user", "content": 1}]}, "messages[0].content"),
        ({"messages": [{"role": "king", "content": "x"}]}, "messages[0].role"),
        ({"messages": [HI, {"role": "assistant", "content": "x"}]}, "messages[1].role"),
        ({"messages": [{"role": "tool", "content": "x"}, HI]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": ""}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"type": "video", "video": {}}]}]}, "messages[0].content[0].type"),
        ({"messages": [_seen("https://example.com/a.png")]}, "messages[0].content"),
        ({"messages": [_seen("data:image/svg+xml;base64,AAAA")]}, "messages[0].content"),
        ({"messages": [_seen("data:image/png;base64,%%%")]}, "messages[0].content"),
        ({"messages": [_seen("file:///etc/passwd")]}, "messages[0].content"),
        ({"messages": [_seen(*["data:image/png;base64,AAAA"] * 9)]}, "messages[0].content"),
        ({"messages": [_seen("http://[::1"), HI]}, "messages[0].content"),
        ({"n": 2}, "n"),
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"functions": [{}]}, "functions"),
        ({"logprobs": True}, "logprobs"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"modalities": ["audio"]}, "modalities"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": {"include_usage": 3}}, "stream_options.include_usage"),
    ],
)
def test_what_is_wrong_is_named(body: dict[str, Any], param: str) -> None:
    assert _refusal(body) == param


def test_pictures_come_along_of_the_last_message_and_of_those_before_it() -> None:
    url = "data:image/png;base64,iVBORw=="
    turn = _turn({"messages": [_seen(url), {"role": "assistant", "content": "a cat"}, _seen(url, url)]})
    assert turn.images == (Image(media_type="image/png", data=b"\x89PNG"),) * 2
    assert [len(one.images) for one in turn.context] == [1, 0]
    assert turn.message == "what is it?"


def test_a_session_that_is_no_name_is_refused() -> None:
    assert _refusal({}, "../x") == "X-OCG-Session"
    assert _refusal({}, "") == "X-OCG-Session"


def test_what_names_no_offer_is_let_through() -> None:
    turn = _turn({"n": 1, "tools": [], "response_format": {"type": "text"}, "modalities": ["text"], "logprobs": False})
    assert turn.message == "hi"


@pytest.mark.parametrize(("name", "is_agents"), [("ocg", True), ("", True), ("default", True), ("gpt-9", False)])
def test_whose_model_it_is(name: str, *, is_agents: bool) -> None:
    assert ModelNamed(model=name).is_for_agent == is_agents
