"""What a call of a tool takes before it is run: a decision, which a person may be asked for. Times are Unix seconds."""

from typing import Annotated, Literal

import msgspec

from ocg.protocol.struct import Struct

MAX_DECISIONS = 1000

Answer = Literal["allow", "deny"]
Decision = Literal["allow", "ask", "deny"]
Remember = Literal["", "session"]


class Approval(Struct, frozen=True):
    """A call that a person is asked about; `why` says by what, and as long as nobody has answered `answer` is empty.

    Without an answer by `expires_at` it counts as denied.
    """

    id: str
    turn_id: str
    session_id: str
    channel: str
    call_id: str
    name: str
    arguments: str
    why: str
    asked_at: float
    expires_at: float
    answer: Literal["", "allow", "deny"] = ""
    by: str = ""


class ApprovalList(Struct, frozen=True):
    """The calls that wait for an answer, oldest first."""

    approvals: tuple[Approval, ...]


class ApprovalAnswer(Struct, frozen=True):
    """Whether a call may be run.

    With `remember` the answer holds for the rest of the conversation: for this tool, and where a call has a `command`,
    for this command alone. `by` says who answers; the gateway puts the token's name there.
    """

    answer: Answer
    remember: Remember = ""
    by: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] = "socket"


class Decided(Struct, frozen=True):
    """What was decided of a call, and by whom: `default`, `rule 2`, `timeout`, or who answered.

    `arguments` are their first 200 characters, and `digest` is the SHA-256 of all of them.
    """

    at: float
    turn_id: str
    session_id: str
    channel: str
    tool: str
    arguments: str
    digest: str
    decision: Answer
    by: str


class DecisionList(Struct, frozen=True):
    """Decisions, the newest first."""

    decisions: tuple[Decided, ...]
