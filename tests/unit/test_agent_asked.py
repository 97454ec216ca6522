"""What a request for a turn must be: what no model can be asked is refused before anything is kept, and named."""

import msgspec
import pytest

from ocg.agent.asked import check
from ocg.errors import Code, OcgError
from ocg.protocol.messages import ContextMessage, Image, ToolUse, TurnRequest
from ocg.protocol.replies import ClientTool, NamedTool, ReplyOptions

TOOL = ClientTool(name="weather")
HELLO = ContextMessage(role="user", content="hello")
RULES = ContextMessage(role="system", content="be brief")


def _called(*ids: str) -> ContextMessage:
    calls = tuple(ToolUse(id=one, name="weather", arguments="{}") for one in ids)
    return ContextMessage(role="assistant", content="", tool_calls=calls)


def _result(call_id: str | None) -> ContextMessage:
    return ContextMessage(role="tool", content="rain", tool_call_id=call_id)


@pytest.mark.parametrize(
    "context",
    [
        (HELLO, _called("a"), _result("a")),
        (HELLO, _called("a", "b"), _result("b"), _result("a")),
        (HELLO, _called("a"), RULES, _result("a"), _called("a"), _result("a")),
    ],
)
def test_results_of_the_clients_tools_are_a_message_of_their_own(context: tuple[ContextMessage, ...]) -> None:
    check(TurnRequest(message="", kind="api", context=context, options=ReplyOptions(tools=(TOOL,))))


@pytest.mark.parametrize(
    ("context", "said"),
    [
        ((HELLO, _result("a")), "message 2 of the conversation is a result of the call 'a'"),
        ((HELLO, _called("a"), _result(None)), "message 3 of the conversation is a result of the call None"),
        ((HELLO, _called("a"), _result("a"), _result("a")), "message 4"),
        ((HELLO, _called("a", "b"), _result("a")), "no result of the call 'b'"),
        ((HELLO, _called("a"), HELLO, _result("a")), "no result of the call 'a'"),
        ((HELLO, _called("a", "a"), _result("a"), _result("a")), "two calls of message 2 have the same id"),
        ((msgspec.structs.replace(_called("a"), role="user"), _result("a")), "message 1 calls tools"),
    ],
)
def test_a_conversation_with_loose_ends_is_refused_and_the_end_named(
    context: tuple[ContextMessage, ...], said: str
) -> None:
    with pytest.raises(OcgError, match=said) as raised:
        check(TurnRequest(message="go on", kind="api", context=context))
    assert (raised.value.code, raised.value.param) == (Code.INVALID_REQUEST, "messages")


@pytest.mark.parametrize(
    ("request_", "param"),
    [
        (TurnRequest(message="hi", options=ReplyOptions(tools=(TOOL,))), "tools"),
        (TurnRequest(message="hi", kind="api", session_id="s", options=ReplyOptions(tools=(TOOL,))), "tools"),
        (TurnRequest(message="hi", kind="api", options=ReplyOptions(tools=(TOOL, TOOL))), "tools"),
        (TurnRequest(message="hi", options=ReplyOptions(tool_choice="required")), "tool_choice"),
        (
            TurnRequest(
                message="hi", kind="api", options=ReplyOptions(tools=(TOOL,), tool_choice=NamedTool(name="other"))
            ),
            "tool_choice",
        ),
        (TurnRequest(message="hi", options=ReplyOptions(stop=("x", ""))), "stop"),
        (TurnRequest(message=""), "message"),
        (TurnRequest(message="", kind="api", context=(HELLO,)), "message"),
        (TurnRequest(message="/stop", images=(Image(media_type="image/png", data=b"x"),)), "images"),
        (TurnRequest(message="/status", context=(HELLO,)), "context"),
        (TurnRequest(message="/stop" + " " * 4096), "message"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(request_: TurnRequest, param: str) -> None:
    with pytest.raises(OcgError) as raised:
        check(request_)
    assert (raised.value.code, raised.value.param) == (Code.INVALID_REQUEST, param)
