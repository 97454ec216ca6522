"""The first process of a cage made by bubblewrap: what is in it ends with this one.

It is out of reach of all that runs in there: the kernel lets nobody kill or stop the first process of a PID namespace
from within. So it is what looks after the limits that no cgroup holds here.
"""

import os
import select
import sys

# Without what the module signal imports.
from _signal import SIG_IGN, SIGCHLD, SIGKILL, signal  # type: ignore[import-not-found]  # not in typeshed
from collections.abc import Iterator

from ocg.tool import limits

_LOOK_MS = 50
_TOO_MANY = f"it started more than {limits.TASKS} processes and threads"
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
# Of the machine's memory; what is used by way of files without a name belongs to no process.
_SPARE_MEMORY_PART = 20
_SPARE_DISK_BYTES = 256 << 20


def watch(child: int, connection: int) -> None:
    """Wait until the child ends, the agent goes or a limit is passed; then end all that is here, and ourselves."""
    signal(SIGCHLD, SIG_IGN)  # whoever is left to us ends without leaving a trace
    ends = os.pidfd_open(child)
    poll = select.poll()
    poll.register(ends, select.POLLIN)
    poll.register(connection, select.POLLRDHUP)
    spare_disk = min(_SPARE_DISK_BYTES, _free_disk_bytes() // 2)
    is_new, why, events = True, "", poll.poll(_LOOK_MS)
    while not events and not (why := _trouble(child, spare_disk)):
        if is_new:  # what is done by now was done at full speed
            _give_way()
        is_new, events = False, poll.poll(_LOOK_MS)
    _end_all()
    if why:
        sys.stderr.write(f"{why}\n")


def _end_all() -> None:
    """Have no other process here, at once and not when we have ended: a bomb leaves us little time to do that."""
    try:
        os.kill(-1, SIGKILL)
    except ProcessLookupError:  # there was none
        return


def _trouble(child: int, spare_disk: int) -> str:
    is_stopped = os.waitid(os.P_PID, child, os.WSTOPPED | os.WNOHANG)
    return "it stopped what passes on its output" if is_stopped else _excess(spare_disk)


def _give_way() -> None:
    """Let commands be nice, but not us: who looks after them must not be held up by them."""
    for pid in map(int, _pids()):
        try:
            if os.getpgid(pid) != os.getpgid(0):
                os.setpriority(os.PRIO_PGRP, os.getpgid(pid), limits.NICE)
        except OSError:  # it has ended
            continue


def _excess(spare_disk: int) -> str:
    """Say what there is too much of."""
    pids = _pids()
    if len(pids) > limits.TASKS:  # before they are looked at one by one, which takes long when there are many
        return _TOO_MANY
    found = [_stat(pid) for pid in pids]
    if sum(tasks for tasks, _ in found) > limits.TASKS:
        return _TOO_MANY
    # What several share counts once; that takes longer to find out.
    resident = sum(size for _, size in found)
    if resident > limits.MEMORY_BYTES and sum(map(_share_bytes, pids)) > limits.MEMORY_BYTES:
        return f"it took more than {limits.MEMORY_BYTES >> 30} GiB of memory"
    if _is_memory_short():
        return "this machine has no memory left"
    if _free_disk_bytes() < spare_disk:
        return "it left no space on the workspace's disk"
    return ""


def _pids() -> list[str]:
    return [name for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208 - pathlib takes long to import


def _stat(pid: str) -> tuple[int, int]:
    """Return a process's number of threads and its resident bytes; nothing when it has ended."""
    fields = _text(f"/proc/{pid}/stat").rpartition(") ")[2].split()  # from the third on, of proc_pid_stat(5)
    return (int(fields[20 - 3]), int(fields[24 - 3]) * _PAGE_BYTES) if fields else (0, 0)


def _share_bytes(pid: str) -> int:
    """Return a process's proportional share; all that is resident where it hides that."""
    for line in _text(f"/proc/{pid}/smaps_rollup").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) << 10
    return _stat(pid)[1]


def _is_memory_short() -> bool:
    values = {name: int(rest.split()[0]) for name, _, rest in _lines("/proc/meminfo")}
    return values.get("MemAvailable", 1) < values.get("MemTotal", 0) // _SPARE_MEMORY_PART


def _lines(path: str) -> Iterator[tuple[str, str, str]]:
    return (line.partition(":") for line in _text(path).splitlines())


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""


def _free_disk_bytes() -> int:
    found = os.statvfs(".")
    return found.f_bavail * found.f_frsize
