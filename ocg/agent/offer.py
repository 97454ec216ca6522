"""The tools that a turn offers: the agent's own, and those that its client runs."""

from collections.abc import Sequence

from ocg.agent.providers.base import ToolSpec
from ocg.protocol.messages import ToolUse
from ocg.protocol.replies import ReplyOptions

DEFERRED = (
    "{name} was not run, since tools of others were called with it; their results are here now."
    " Call {name} again, with no other tool, if it is still needed."
)


def offered(own: Sequence[ToolSpec], options: ReplyOptions, *, takes_tools: bool) -> tuple[ToolSpec, ...]:
    """Return what the model is offered; of two that share a name, the client's.

    The agent's own are left out where a call is forced, as that is to be one of the client's, where none is wanted, and
    where the answer must have a form: many servers know only the one or the other.
    """
    clients = tuple(ToolSpec(one.name, one.description, one.parameters) for one in options.tools)
    if options.tool_choice != "auto" or options.form is not None or not takes_tools:
        return clients
    return (*(one for one in own if not is_clients(one.name, options)), *clients)


def is_clients(name: str, options: ReplyOptions) -> bool:
    """Whether the client runs the tool of this name."""
    return any(one.name == name for one in options.tools)


def are_clients(calls: Sequence[ToolUse], options: ReplyOptions) -> bool:
    """Whether there are calls, and all of tools that the client runs: with them a turn ends."""
    return bool(calls) and all(is_clients(call.name, options) for call in calls)
