"""The same call again and again is found, whatever it is made of."""

from ocg.agent import loops
from ocg.protocol.messages import Message, ToolUse


def test_calls_that_are_too_deep_to_be_read_are_counted_as_they_stand() -> None:
    call = ToolUse(id="c", name="time", arguments=f'{{"x": {"[" * 5000}{"]" * 5000}}}')
    steps = (
        Message("1", "assistant", "", 0.0, tool_calls=(call,)),
        Message("2", "tool", "no", 0.0, tool_call_id="c"),
    )
    assert loops.count(steps, call, "no") == 2
