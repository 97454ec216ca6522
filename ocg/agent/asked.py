"""What a request for a turn must be beside well-formed, looked at before anything of it is kept."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from ocg.agent import slash
from ocg.protocol.asking import wrong
from ocg.protocol.messages import ContextMessage, TurnRequest
from ocg.protocol.replies import NamedTool, ReplyOptions

_COMMAND_CHARS = 4096


def check(request: TurnRequest) -> None:
    """Raise INVALID_REQUEST, naming what is wrong, for what no model can be asked."""
    options = request.options
    if options.tools and (request.kind != "api" or request.session_id is not None):
        why = "tools of the client's go with a conversation that the client keeps, and this one is kept here"
        raise wrong("tools", why, "leave out the session, or the tools")
    check_choice(options)
    if "" in options.stop:
        raise wrong("stop", "one of the texts is empty", "leave it out")
    is_answered = bool(request.context) and request.context[-1].role == "tool"
    if not (request.message or request.images or is_answered):
        raise wrong("message", "it is empty", "say something")
    check_calls(request.context)
    if slash.is_command(request):
        _check_command(request)


def _check_command(request: TurnRequest) -> None:
    """Raise INVALID_REQUEST for what no command takes: most have places of their own, and would fill the disk."""
    if len(request.message) > _COMMAND_CHARS:
        raise wrong("message", f"a command of more than {_COMMAND_CHARS} characters", "say it without the slash")
    for name in ("images", "context"):
        if getattr(request, name):
            raise wrong(name, "a command takes none", "leave them out, or say it without the slash")


def check_choice(options: ReplyOptions) -> None:
    """Raise INVALID_REQUEST where the tools, and which of them must be called, do not fit."""
    names = [one.name for one in options.tools]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise wrong("tools", f"two are called {twice!r}", "give each a name of its own")
    choice = options.tool_choice
    if isinstance(choice, NamedTool) and choice.name not in names:
        raise wrong("tool_choice", f"there is no tool {choice.name!r} among `tools`", "add it there")
    if choice == "required" and not names:
        raise wrong("tool_choice", "there are no `tools` that could be called", "add them, or leave it out")


def check_calls(context: Sequence[ContextMessage]) -> None:
    """Raise INVALID_REQUEST unless every call is answered once, before anybody speaks again: models insist on it."""
    waiting: set[str] = set()
    for number, one in enumerate(context, start=1):
        if one.role == "tool":
            if one.tool_call_id is None or one.tool_call_id not in waiting:
                why = f"message {number} of the conversation is a result of the call {one.tool_call_id!r}"
                raise wrong("messages", f"{why}, which is not made right before it", "send the call as well")
            waiting.remove(one.tool_call_id)
        elif one.tool_calls and one.role != "assistant":
            raise wrong("messages", f"message {number} calls tools, which only the assistant does", "leave that out")
        elif one.role != "system":
            _check_answered(waiting)
            waiting = {call.id for call in one.tool_calls}
            if len(waiting) < len(one.tool_calls):
                raise wrong("messages", f"two calls of message {number} have the same id", "give each its own")
    _check_answered(waiting)


def _check_answered(waiting: AbstractSet[str]) -> None:
    if waiting:
        why = f"the conversation has no result of the call {min(waiting)!r}"
        raise wrong("messages", why, "send a message of the role `tool` for each call")
