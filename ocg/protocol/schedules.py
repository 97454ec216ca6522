"""What is to be said to the agent later, once or again and again. Times are Unix seconds."""

from typing import Annotated, Literal

import msgspec

from ocg.protocol.client import Client
from ocg.protocol.messages import Changed, ReplyTo, TurnError
from ocg.protocol.struct import Struct

# No @: a conversation `schedule@NAME` is one schedule's, and `schedule@NAME@…` one run's of it.
ScheduleName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}\Z")]
# Cron's five fields or one of its @words; every N; in N; at a date and a time.
When = Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern="^[ -~]*$")]
Zone = Annotated[str, msgspec.Meta(max_length=64, pattern=r"^[A-Za-z0-9_+/-]*\Z")]
ScheduledText = Annotated[str, msgspec.Meta(min_length=1, max_length=1 << 14)]
RunState = Literal["running", "completed", "failed"]


class ScheduleRequest(Struct, frozen=True):
    """Say `message` to the agent at certain times; see docs/schedules.md for the forms of `when`.

    `zone` is an IANA time zone, the machine's own where it is empty. `session` is `own` for one conversation that all
    runs go on in, `new` for a conversation a run. `reply_to` is where answers are delivered.
    """

    name: ScheduleName
    when: When
    message: ScheduledText
    zone: Zone = ""
    session: Literal["own", "new"] = "own"
    reply_to: ReplyTo | None = None


class ScheduleRun(Struct, frozen=True):
    """A run of a schedule: one turn.

    It was due at `due_at`, or asked for by hand. `missed` is how often the schedule fell due besides, while nothing ran
    or while this ran: it stands for those as well.
    """

    id: str
    due_at: float
    began_at: float
    session_id: str
    is_asked: bool = False
    missed: int = 0
    state: RunState = "running"
    ended_at: float | None = None
    turn_id: str | None = None
    error: TurnError | None = None


class Schedule(Struct, frozen=True):
    """A schedule as it stands. `next_at` is when it is due; it has none where it was for one time that is over."""

    name: str
    when: str
    message: str
    zone: str
    session: str
    reply_to: ReplyTo | None
    created_at: float
    next_at: float | None
    is_paused: bool
    last_run: ScheduleRun | None = None


class ScheduleList(Struct, frozen=True):
    """Schedules, the one that is due next first."""

    schedules: tuple[Schedule, ...]


class SchedulePatch(Struct, frozen=True):
    """Have a schedule rest, or go on."""

    is_paused: bool


class ScheduleRunList(Struct, frozen=True):
    """Runs of a schedule, newest first."""

    runs: tuple[ScheduleRun, ...]


class ScheduleClient:
    """What is asked of the agent about schedules, over a client of it. Names are to be checked before."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def list(self) -> ScheduleList:
        """List them."""
        return await self._client.call("GET", "/v1/schedules", ScheduleList)

    async def add(self, request: ScheduleRequest) -> Schedule:
        """Add one; it is on disk on return. Raises CONFLICT, LIMIT, and INVALID_REQUEST for a time that is none."""
        return await self._client.call("POST", "/v1/schedules", Schedule, request)

    async def remove(self, name: str) -> None:
        """Remove one with its history; a run that began goes on. Raises NOT_FOUND."""
        await self._client.call("DELETE", f"/v1/schedules/{name}", Changed)

    async def change(self, name: str, patch: SchedulePatch) -> Schedule:
        """Have one rest, or go on. Raises NOT_FOUND."""
        return await self._client.call("PATCH", f"/v1/schedules/{name}", Schedule, patch)

    async def run(self, name: str) -> ScheduleRun:
        """Begin a run now. Raises NOT_FOUND, and CONFLICT while one runs."""
        return await self._client.call("POST", f"/v1/schedules/{name}/run", ScheduleRun)

    async def runs(self, name: str) -> ScheduleRunList:
        """List what is kept of the runs of one. Raises NOT_FOUND."""
        return await self._client.call("GET", f"/v1/schedules/{name}/runs", ScheduleRunList)
