"""An answer stops before the first of the texts that a client names, however it comes in pieces."""

from collections.abc import AsyncIterator, Sequence

from hypothesis import example, given
from hypothesis import strategies as st

from ocg.agent.providers.base import Piece, Reply
from ocg.agent.providers.stopping import stopped
from ocg.protocol.messages import ToolUse, Usage
from ocg.protocol.thinking import Reasoning

_USAGE = Usage(prompt_tokens=3, completion_tokens=9)
_CALL = ToolUse(id="c", name="time", arguments="{}")


async def _stream(pieces: Sequence[Piece], text: str, calls: tuple[ToolUse, ...]) -> AsyncIterator[Piece]:
    for piece in pieces:
        yield piece
    yield Reply(text, calls, _USAGE, opaque="x" if calls else "", is_cut=True)


async def _said(pieces: Sequence[str], stops: Sequence[str], *, streamed: bool = True) -> tuple[str, Reply]:
    text = "".join(pieces)
    found = [one async for one in stopped(_stream(pieces if streamed else (), text, (_CALL,)), stops)]
    *shown, reply = found
    assert isinstance(reply, Reply)
    return "".join(one for one in shown if isinstance(one, str)), reply


@given(
    pieces=st.lists(st.text("ab\n", max_size=4), max_size=8),
    stops=st.lists(st.text("ab\n", min_size=1, max_size=3), min_size=1, max_size=3),
    streamed=st.booleans(),
)
@example(pieces=["\na", "a"], stops=["a", "\naa"], streamed=True)
async def test_what_is_shown_ends_right_before_the_one_that_is_whole_first(
    pieces: list[str], stops: list[str], *, streamed: bool
) -> None:
    text = "".join(pieces)
    ends = [(text.index(one) + len(one), text.index(one)) for one in stops if one in text]
    shown, reply = await _said(pieces, stops, streamed=streamed)
    if ends:
        assert shown == text[: min(ends)[1]]
        assert reply == Reply(shown, usage=_USAGE), "what comes after is not acted on"
    else:
        assert reply == Reply(text, (_CALL,), _USAGE, opaque="x", is_cut=True)
        assert shown == text


async def test_without_any_the_answer_is_as_it_came() -> None:
    whole = [one async for one in stopped(_stream(["a", "b"], "abc", ()), ())]
    assert whole == ["a", "b", Reply("abc", usage=_USAGE, is_cut=True)]


async def test_what_is_thought_stops_nothing() -> None:
    pieces: list[Piece] = [Reasoning("I will say END"), "well ", "then"]
    found = [one async for one in stopped(_stream(pieces, "well then", ()), ["END"])]
    assert found[0] == Reasoning("I will say END")
    assert "".join(one for one in found if isinstance(one, str)) == "well then"
