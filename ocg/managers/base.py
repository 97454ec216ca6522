"""What every manager can do, and what it tells while it does it.

Progress is a plain iterator, not an asynchronous one: a manager waits on descriptors (pidfds, the notify socket, the
bus) with poll(2), and importing asyncio would cost `ocg status` half of its time.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from ocg.errors import Code, OcgError

EMBEDDING, AGENT, GATEWAY = SERVICES = ("ocg-embedding", "ocg-agent", "ocg-gateway")
EXIT_HINTS = {78: "correct what the line above says, then `ocg start`", 69: "get what is missing, then `ocg start`"}


class Phase(StrEnum):
    """How far a service has come."""

    STARTING = "starting"
    READY = "ready"
    RELOADED = "reloaded"
    STOPPING = "stopping"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Progress:
    """One step: `detail` is what the service says of itself, where it serves, or the signal that ended it.

    After a reload it is what the service could not take over; nothing when it took all.
    """

    service: str
    phase: Phase
    seconds: float = 0.0
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Status:
    """Who runs, by PID, and how the gateway finds all three: `ok`, or what is wrong.

    `states` has more to say of services that do not run: starting, failed, and why.
    """

    pids: dict[str, int | None]
    health: str
    states: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_ok(self) -> bool:
        """All run and are healthy."""
        return None not in self.pids.values() and self.health == "ok"

    @property
    def is_stopped(self) -> bool:
        """Nothing runs."""
        return not any(self.pids.values())


class StartFailedError(OcgError):
    """A service did not become ready, or does not stay up; `log_lines` are the last ones of its log."""

    def __init__(
        self, service: str, why: str, hint: str, *, exit_status: int | None = None, log_lines: tuple[str, ...] = ()
    ) -> None:
        super().__init__(Code.START_FAILED, f"{service} {why}", hint)
        self.exit_status = exit_status
        self.log_lines = log_lines


def not_running() -> OcgError:
    """Return the error of whoever needs something that runs."""
    return OcgError(Code.NOT_RUNNING, "nothing is running", "start it: ocg start")


class Manager(Protocol):
    """Whoever runs the three services."""

    name: str

    def start(self) -> Iterator[Progress]:
        """Stop what runs, then start embedding, agent, gateway, each once the one before is healthy.

        Raises StartFailedError; what had been started is stopped again by then.
        """

    def stop(self, *, force: bool = False) -> Iterator[Progress]:
        """Stop gateway, agent, embedding by SIGTERM, SIGINT, SIGKILL, 3 s apart; `force` goes straight to SIGKILL."""

    def reload(self) -> Iterator[Progress]:
        """Have what runs read its configuration again. Raises NOT_RUNNING when nothing runs."""

    def status(self) -> Status:
        """Look at what runs, now."""
