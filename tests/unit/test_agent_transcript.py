"""What follows from a transcript."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from ocg.agent.transcript import Step, exchanges, next_step, open_calls, paired
from ocg.protocol.messages import Message, Role, ToolUse


def _message(role: Role, content: str = "", *, calls: tuple[str, ...] = (), answers: str | None = None) -> Message:
    uses = tuple(ToolUse(id=one, name="time", arguments="{}") for one in calls)
    return Message(id="m", role=role, content=content, created_at=0.0, tool_calls=uses, tool_call_id=answers)


_IDS = st.sampled_from(["a", "b", "c"])
_ENTRY = st.one_of(
    st.builds(_message, st.just("user")),
    st.builds(_message, st.just("assistant"), calls=st.lists(_IDS, max_size=3).map(tuple)),
    st.builds(_message, st.just("tool"), answers=_IDS),
)
_HISTORY = st.lists(_ENTRY, max_size=12)


def test_after_the_user_the_model_is_asked() -> None:
    assert next_step([_message("user")]) is Step.ASK
    assert next_step([]) is Step.ASK


def test_after_a_call_it_is_run_and_after_its_result_the_model_is_asked() -> None:
    steps = [_message("user"), _message("assistant", calls=("a", "b"))]
    assert next_step(steps) is Step.CALL
    steps.append(_message("tool", answers="a"))
    assert [call.id for call in open_calls(steps)] == ["b"]
    assert next_step(steps) is Step.CALL
    steps.append(_message("tool", answers="b"))
    assert next_step(steps) is Step.ASK


def test_after_a_plain_reply_the_turn_is_done() -> None:
    assert next_step([_message("user"), _message("assistant", "hi")]) is Step.DONE


def test_an_earlier_result_does_not_answer_a_later_call_of_the_same_id() -> None:
    steps = [_message("assistant", calls=("a",)), _message("tool", answers="a"), _message("assistant", calls=("a",))]
    assert [call.id for call in open_calls(steps)] == ["a"]


def test_a_result_stands_behind_its_call_whatever_came_between() -> None:
    history = [
        _message("user", "one"),
        _message("assistant", calls=("a",)),
        _message("user", "two"),
        _message("tool", "result", answers="a"),
    ]
    assert [one.role for one in paired(history)] == ["user", "assistant", "tool", "user"]


@given(_HISTORY)
def test_every_result_in_a_prompt_has_its_call_right_before_it(history: list[Message]) -> None:
    laid = paired(history)
    expected: list[str] = []
    for message in laid:
        if message.role == "tool":
            assert message.tool_call_id in expected
            expected.remove(str(message.tool_call_id))
        else:
            expected = [call.id for call in message.tool_calls]
    assert [one for one in laid if one.role != "tool"] == [one for one in history if one.role != "tool"]


@given(_HISTORY)
def test_answering_all_open_calls_leaves_none(history: list[Message]) -> None:
    mended = history + [_message("tool", answers=call.id) for call in open_calls(history)]
    assert not open_calls(mended)
    assert next_step(mended) is not Step.CALL


@given(_HISTORY)
def test_exchanges_lose_nothing_and_begin_with_the_user(history: list[Message]) -> None:
    parted = exchanges(history)
    assert list(itertools.chain(*parted)) == history
    assert all(one[0].role == "user" for one in parted[1:])
