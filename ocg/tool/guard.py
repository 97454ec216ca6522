"""The first process of a cage made by bubblewrap: what is in it ends with this one.

It is out of reach of all that runs in there: the kernel lets nobody kill or stop the first process of a PID namespace
from within. So it is what looks after the limits that no cgroup holds here.
"""

import os
import select
import sys
from collections.abc import Iterator

from ocg.tool import limits

_LOOK_MS = 100
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
# Of the machine's memory; what is used by way of files without a name belongs to no process.
_SPARE_MEMORY_PART = 20
_SPARE_DISK_BYTES = 256 << 20


def watch(child: int, connection: int) -> int:
    """Wait until the child ends, the agent goes or a limit is passed; return the exit status."""
    ends = os.pidfd_open(child)
    poll = select.poll()
    poll.register(ends, select.POLLIN)
    poll.register(connection, select.POLLRDHUP)
    spare_disk = min(_SPARE_DISK_BYTES, _free_disk_bytes() // 2)
    if not (events := poll.poll(_LOOK_MS)):  # what is soon done is done at full speed
        os.setpriority(os.PRIO_USER, os.getuid(), limits.NICE)
    while not events:
        is_stopped = os.waitid(os.P_PID, child, os.WSTOPPED | os.WNOHANG)
        if why := "it stopped what passes on its output" if is_stopped else _excess(spare_disk):
            sys.stderr.write(f"{why}\n")
            return 1
        _reap(child)
        events = poll.poll(_LOOK_MS)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) & 0xFF if events[0][0] == ends else 1


def _reap(child: int) -> None:
    """Let go of what others have left to us."""
    while (ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) and ended.si_pid != child:
        os.waitpid(ended.si_pid, 0)


def _excess(spare_disk: int) -> str:
    """Say what there is too much of."""
    tasks = resident = 0
    for pid in _pids():
        one = _stat(pid)
        tasks += one[0]
        resident += one[1]
    if tasks > limits.TASKS:
        return f"it started more than {limits.TASKS} processes and threads"
    # What several share counts once; that takes longer to find out.
    if resident > limits.MEMORY_BYTES and sum(map(_share_bytes, _pids())) > limits.MEMORY_BYTES:
        return f"it took more than {limits.MEMORY_BYTES >> 30} GiB of memory"
    if _is_memory_short():
        return "this machine has no memory left"
    if _free_disk_bytes() < spare_disk:
        return "it left no space on the workspace's disk"
    return ""


def _pids() -> Iterator[str]:
    return (name for name in os.listdir("/proc") if name.isdigit())  # noqa: PTH208 - pathlib takes long to import


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
