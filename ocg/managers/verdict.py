"""Why a start failed, as systemd has it: which unit, what became of it, what it said last, and what helps."""

import signal
from collections.abc import Callable

from ocg.errors import Code, OcgError
from ocg.managers.base import EXIT_HINTS, StartFailedError
from ocg.managers.unit import Connection, Unit
from ocg.managers.watch import JobFailedError

_SOCKETS = ("ocg-embedding.socket", "ocg-agent.socket")
_WHY = {
    "start-limit-hit": "failed too often, and systemd gave up",
    "timeout": "was not ready in time (TimeoutStartSec=)",
    "watchdog": "hung, and the watchdog ended it",
    "oom-kill": "was ended because the memory ran out",
    "protocol": "ended before it was ready",
    "resources": "could not be set up by systemd",
    "dependency": "needs something that did not start",
    "canceled": "was stopped by another command",
}
# EXIT_CGROUP (systemd.exec(5)): a kernel that is slow to remove the group of the process before lets none into it.
_GROUP_BUSY = 219
# The last lines of a unit's journal, as far as this user may read them.
Journal = Callable[[str], tuple[str, ...]]


def check_loaded(unit: Unit) -> None:
    """Raise what stands between us and a unit."""
    name = f"{unit.service}.service"
    match unit.properties["LoadState"]:
        case "not-found":
            raise OcgError(Code.NOT_FOUND, f"{name} is not installed", "ocg service install")
        case "masked":
            raise OcgError(Code.FORBIDDEN, f"{name} is masked, so that nobody starts it", f"systemctl unmask {name}")
        case "loaded":
            return
    raise OcgError(Code.CONFIG_INVALID, f"systemd cannot read {name}", f"systemd-analyze verify {name}")


def why_failed(error: JobFailedError, units: dict[str, Unit], bus: Connection, journal: Journal) -> StartFailedError:
    """Say which unit failed, why, and what helps, with the end of its journal."""
    unit = units.get(error.name)
    if error.result == "canceled":  # all that waits loses its job too: what was on its way is what was stopped
        unit = next((one for one in units.values() if one.has_processes and not one.is_active), unit)
    if error.result == "dependency" and (failed := _failed_socket(bus)):
        return StartFailedError(
            failed,
            "could not be opened",
            "another program may have its address: end that, or give the socket another (systemctl edit)",
            log_lines=journal(failed),
        )
    if unit is None:
        return StartFailedError(error.name, _why(error.result, 0), f"systemctl status {error.name}")
    found = unit.failure
    status, result = int(found.get("ExecMainStatus", 0)), str(found.get("Result", error.result))
    said = str(found.get("StatusText", ""))
    why = _why(result, status)
    return StartFailedError(
        unit.service,
        f"{why}: {said}" if said and not unit.where else why,
        (EXIT_HINTS.get(status, "") if result == "exit-code" else "") or f"ocg logs {unit.service[4:]}",
        exit_status=status if result == "exit-code" else None,
        log_lines=journal(f"{unit.service}.service"),
    )


def was_group_busy(error: JobFailedError, units: dict[str, Unit]) -> bool:
    """Whether systemd itself could not begin, since the control group was still being removed."""
    unit = units.get(error.name)
    return unit is not None and unit.failure.get("ExecMainStatus") == _GROUP_BUSY


def _failed_socket(bus: Connection) -> str:
    """Name the socket that failed: a port taken by another program, say."""
    found = bus.units(_SOCKETS)
    return next((name for name in _SOCKETS if found[name].properties["ActiveState"] == "failed"), "")


def _why(result: str, status: int) -> str:
    match result:
        case "exit-code":
            return f"ended with exit status {status}"
        case "signal" | "core-dump":
            return f"was killed by {_signal(status)}"
    return _WHY.get(result, f"did not start ({result})")


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time one
        return f"signal {number}"


def state(unit: Unit) -> str:
    """Say what a service is that does not run, where it is not simply stopped."""
    result = str(unit.properties.get("Result", "success"))
    match unit.state:
        case "waiting":
            return "restarts in a moment" if result == "success" else f"failed ({result}), restarts in a moment"
        case "failed":
            return f"failed ({result})"
        case "activating":
            return f"starting: {unit.said}" if unit.said else "starting"
        case "deactivating":
            return "stopping"
    return ""
