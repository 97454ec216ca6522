"""What a sub-agent has from the turn that asked for it, and of what it has less."""

from ocg.protocol.struct import Struct


class Spawned(Struct, frozen=True):
    """Kept with a sub-agent's turn. Its rights are those of whoever asked first, and never more.

    `turn_id` is the turn that asked for it, `session_id` the conversation in which it all began and `channel` the
    channel it came by: rules for tools look at these. `depth` is 1 for the first, `tools` are those it may call.
    """

    turn_id: str
    session_id: str
    channel: str
    depth: int
    tools: tuple[str, ...]
    steps: int
    time_s: float
