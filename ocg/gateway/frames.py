"""What clients say on the WebSocket, and what they hear there beside the events of turns."""

from typing import Annotated

import msgspec

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


Asked = TurnAsked | FollowAsked | CancelAsked


class Marks(msgspec.Struct, frozen=True):
    """What can be known of a message that does not fit: which one it is, and which turn it is about."""

    message_id: str | None = None
    turn_id: str | None = None


class Problem(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="error"):
    """What went wrong; `message_id` says with which turn asked for, `turn_id` with which followed or cancelled."""

    code: str
    message: str
    hint: str = ""
    message_id: str | None = None
    turn_id: str | None = None
