"""Why a service gave up, as its manager has it."""

import os
import signal
import socket
from collections.abc import Mapping
from dataclasses import dataclass, replace

from ocg.errors import OcgError
from ocg.managers.bus import Bus

# An entry of packaging/systemd/ocg.catalog: `journalctl -x` says what to do.
MESSAGE_ID = "35840b7be49b4772b6b93255549750f0"
_SERVICE = "Service"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """The facts: systemd's result, the last exit status, or the number and name of a signal, and its last STATUS=."""

    unit: str
    result: str
    exit_status: int = 0
    signal: str = ""
    restarts: int = 0
    status: str = ""
    host: str = ""
    is_user: bool = False
    state: str = "failed"

    @property
    def text(self) -> str:
        """One line for people."""
        name = self.unit.removesuffix(".service")
        end = self.signal or f"exit status {self.exit_status}"
        facts = [self.result, end, f"{self.restarts} restarts"]
        return f"{name} gave up on {self.host}: {', '.join(facts + ([self.status] if self.status else []))}"

    @property
    def is_forgiven(self) -> bool:
        """Whether it was reset since: `ocg stop` killed it, say, and whoever asked for that knows."""
        return self.state == "inactive"

    @property
    def hint(self) -> str:
        """The command that shows more."""
        return f"journalctl -x {'--user-unit' if self.is_user else '-u'} {self.unit} -n 50"


def find(unit: str, environ: Mapping[str, str], *, user: bool) -> Failure:
    """Ask the manager about a unit, `ocg-agent` or `ocg-agent.service`.

    What it told us as it started us (systemd.exec(5), $MONITOR_UNIT) is of the failure itself, and wins over what it
    says by now: somebody may have started the unit anew. A bus that is not there leaves that.
    """
    name = unit if "." in unit else f"{unit}.service"
    found = Failure(unit=name, result="unknown", host=socket.gethostname(), is_user=user)
    try:
        with Bus(user=user) as bus:
            status = bus.get(name, "ExecMainStatus", interface=_SERVICE, signature="i")
            was_killed = bus.get(name, "ExecMainCode", interface=_SERVICE, signature="i") in {
                os.CLD_KILLED,
                os.CLD_DUMPED,
            }
            found = replace(
                found,
                result=bus.get(name, "Result", interface=_SERVICE),
                exit_status=status,
                signal=_name(status) if was_killed else "",
                restarts=bus.get(name, "NRestarts", interface=_SERVICE, signature="u"),
                status=bus.get(name, "StatusText", interface=_SERVICE),
                state=bus.get(name, "ActiveState"),
            )
    except OcgError as error:
        found = replace(found, status=f"its manager does not say why: {error.message}")
    return _as_told(found, environ) if environ.get("MONITOR_UNIT") == name else found


def _as_told(found: Failure, environ: Mapping[str, str]) -> Failure:
    """Take what systemd told us; in place of a signal's number it gives the name."""
    result, status = environ.get("MONITOR_SERVICE_RESULT", found.result), environ.get("MONITOR_EXIT_STATUS", "")
    if status.isdecimal():
        return replace(found, result=result, exit_status=int(status), signal="")
    number = signal.Signals.__members__.get(f"SIG{status}")
    if number is None:
        return replace(found, result=result)
    return replace(found, result=result, exit_status=int(number), signal=number.name)


def _name(number: int) -> str:
    """Name a signal."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
