"""What clients say on the WebSocket, and what they hear there beside the events of turns."""

from typing import Annotated

import msgspec

from ocg.protocol.approvals import Answer, Remember
from ocg.protocol.messages import MAX_IMAGES, MAX_SEQ, Id, Image, Mode, Name, Text, TurnRequest

_After = Annotated[int, msgspec.Meta(ge=0, le=MAX_SEQ)]


class TurnAsked(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="turn"):
    """The client asks for a turn; the same `message_id` joins it again. The rest is as in `TurnRequest`."""

    message: Text
    session_id: Name | None = None
    message_id: Id | None = None
    mode: Mode = "queue"
    after: _After = 0
    images: Annotated[tuple[Image, ...], msgspec.Meta(max_length=MAX_IMAGES)] = ()

    def request(self) -> TurnRequest:
        """Return what the agent is asked."""
        return TurnRequest(
            message=self.message,
            session_id=self.session_id,
            message_id=self.message_id,
            mode=self.mode,
            after=self.after,
            images=self.images,
        )


class FollowAsked(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="follow"):
    """The client wants a turn's events behind number `after`, whether it runs or is over."""

    turn_id: Name
    after: _After = 0


class CancelAsked(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="cancel"):
    """The client wants a turn to end."""

    turn_id: Name


class ApprovalGiven(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="approval"):
    """The client allows a call of a tool, or denies it, as `ApprovalAnswer` says; its turn tells what became of it."""

    approval_id: Name
    answer: Answer
    remember: Remember = ""


Asked = TurnAsked | FollowAsked | CancelAsked | ApprovalGiven


class Marks(msgspec.Struct, frozen=True, kw_only=True):
    """Which message something is about, by what it was about itself; that is known of one that does not fit as well."""

    message_id: str | None = None
    turn_id: str | None = None
    approval_id: str | None = None


class Problem(Marks, frozen=True, kw_only=True, tag_field="type", tag="error"):
    """What went wrong with what was asked: with a turn, by its `message_id`, or with what had one of the other ids."""

    code: str
    message: str
    hint: str = ""
