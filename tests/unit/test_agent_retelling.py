"""A turn's events told again from disk: whoever has seen a part gets exactly the rest."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from ocg.agent.live import LiveTurn
from ocg.agent.retelling import ATTEMPT, answered_of, asked_of, end, retold, unseen
from ocg.agent.rows import Told, Turn
from ocg.protocol import events
from ocg.protocol.approvals import Approval
from ocg.protocol.events import Event, ReasoningDelta, TextDelta, TurnEvent, TurnResumed
from ocg.protocol.messages import Message, ToolUse, Usage

_TURN = Turn(
    seq=1,
    id="t",
    session_id="s",
    message_id="m",
    message="hello",
    context=(),
    mode="queue",
    state="running",
    attempts=0,
    error=None,
    usage=Usage(),
    event_seq=None,
    joined=None,
    reply_to=None,
)
_Reply = tuple[list[str], str, Literal["", "calls", "asks"]]
# What a reply says, piece by piece; whether it thinks first; whether it calls a tool, or one that is asked about.
_REPLIES: st.SearchStrategy[list[_Reply]] = st.lists(
    st.tuples(
        st.lists(st.text(min_size=1, max_size=9), max_size=4),
        st.text(max_size=9),
        st.sampled_from(("", "calls", "asks")),
    ),
    min_size=1,
    max_size=4,
)


def _lived(replies: Sequence[_Reply], attempts: int = 0) -> tuple[LiveTurn, list[Told]]:
    """Live through a turn as the engine does; return its events and what is on disk of it."""
    live, told = LiveTurn(_TURN), [Told(_message("user", "hello"), None)]
    live.emit(events.TurnStarted, message_id="m")
    if attempts:
        live.tell([TurnResumed(turn_id="t", session_id="s", seq=attempts * ATTEMPT, kept=live.seq)])
    for at, (pieces, thought, calls) in enumerate(replies):
        if thought:
            live.emit(ReasoningDelta, text=thought)
        for piece in pieces:
            live.emit(TextDelta, text=piece)
        use = ToolUse(id=f"c{at}", name="time", arguments="{}")
        message = _message("assistant", "".join(pieces), reasoning=thought, tool_calls=(use,) if calls else ())
        told.append(Told(message, live.seq))
        if calls:
            live.emit(events.ToolCall, call_id=use.id, name="time", arguments="{}")
            approval = _approval(use) if calls == "asks" else None
            if approval is not None:
                live.emit(events.ApprovalAsked, **asked_of(approval))
                live.emit(events.ApprovalAnswered, **answered_of(approval))
            live.emit(events.ToolResult, call_id=use.id, name="time", content="noon")
            told.append(Told(_message("tool", "noon", tool_call_id=use.id), live.seq, approval=approval))
    return live, told


def _approval(use: ToolUse) -> Approval:
    return Approval(
        id=f"a{use.id}",
        turn_id="t",
        session_id="s",
        channel="",
        call_id=use.id,
        name=use.name,
        arguments=use.arguments,
        why="a rule says ask",
        asked_at=1.0,
        expires_at=2.0,
        answer="allow",
        by="cli",
    )


def _message(role: str, content: str, **fields: object) -> Message:
    return msgspec.convert(
        {"id": "x", "role": role, "content": content, "created_at": 1.0} | msgspec.to_builtins(fields), Message
    )


def _said(found: Sequence[TurnEvent], kind: type[Event] = TextDelta) -> str:
    return "".join(getattr(one, "text", "") for one in found if isinstance(one, kind))


def _others(found: Sequence[TurnEvent]) -> list[tuple[str, int]]:
    return [(type(one).__name__, one.seq) for one in found if not isinstance(one, TextDelta | ReasoningDelta)]


@given(_REPLIES, st.data())
def test_who_has_seen_a_part_gets_the_rest_from_disk(replies: list[_Reply], data: st.DataObject) -> None:
    live, told = _lived(replies)
    seen_to = data.draw(st.integers(1, len(live._events)))
    seen = live._events[:seen_to]
    again = [new for event in retold(_TURN, told) if (new := unseen(event, seen[-1].seq))]
    whole = [*seen, *again]
    for kind in (TextDelta, ReasoningDelta):
        assert _said(whole, kind) == _said(live._events, kind)
    assert _others(whole) == _others(live._events)
    assert all(one.seq < other.seq for one, other in pairwise(whole))


@given(_REPLIES)
def test_from_the_beginning_all_of_it_is_told_with_the_same_numbers(replies: list[_Reply]) -> None:
    live, told = _lived(replies)
    again = retold(_TURN, told)
    assert _said(again) == _said(live._events)
    assert _others(again) == _others(live._events)
    assert end(_TURN, again[-1].seq, None).seq == live.seq + 1


@given(_REPLIES, st.integers(2, ATTEMPT - 1))
def test_who_heard_what_a_crash_took_is_told_to_forget_it(replies: list[_Reply], heard: int) -> None:
    live, told = _lived(replies, attempts=1)
    if told[-1].event_seq == ATTEMPT:  # nothing was said after the crash
        return
    fresh = [new for event in retold(_TURN, told) if (new := unseen(event, 1))]
    misled = [new for event in retold(_TURN, told) if (new := unseen(event, heard))]
    assert not any(isinstance(one, TurnResumed) for one in fresh)
    assert isinstance(misled[0], TurnResumed)
    assert (misled[0].kept, misled[0].seq) == (1, ATTEMPT)
    assert _said(misled) == _said(fresh) == _said(live._events)


@given(st.lists(st.tuples(st.booleans(), st.text(min_size=1, max_size=5)), min_size=1, max_size=8), st.data())
def test_thoughts_between_texts_keep_their_places(said: list[tuple[bool, str]], data: st.DataObject) -> None:
    live = LiveTurn(_TURN)
    live.emit(events.TurnStarted, message_id="m")
    for is_thought, text in said:
        (live.think if is_thought else live.say)(text)
    message = _message("assistant", live.text, reasoning=live.reasoning)
    seen_to = data.draw(st.integers(1, len(live._events)))
    seen = live._events[:seen_to]
    told = [Told(message, live.seq, tuple(live.spans))]
    again = [new for event in retold(_TURN, told) if (new := unseen(event, seen[-1].seq))]
    for kind in (TextDelta, ReasoningDelta):
        assert _said([*seen, *again], kind) == _said(live._events, kind)


def test_a_step_that_is_asked_for_again_makes_what_was_said_of_it_void() -> None:
    live = LiveTurn(_TURN)
    live.emit(events.TurnStarted, message_id="m")
    live.say("The answer is for")
    live.begin_step()
    live.say("The answer is forty-two")
    told = [Told(_message("assistant", live.text), live.seq)]
    resumed = live._events[2]
    assert isinstance(resumed, TurnResumed)
    assert resumed.kept == 1
    assert retold(_TURN, told)[1] == resumed


def test_a_text_of_a_million_characters_is_told_in_pieces() -> None:
    told = [Told(_message("assistant", "x" * 1_000_000), 1_000_001)]
    again = retold(_TURN, told)
    assert max(len(getattr(one, "text", "")) for one in again) == 16_384
    assert _said(again) == "x" * 1_000_000
    assert again[-1].seq == 1_000_001
