"""What a tool may take, whatever confines it; the units say the same by systemd's own means (docs/confinement.md)."""

import resource

# ctypes itself takes seven times as long to import.
from _ctypes import call_function, dlopen, dlsym

MEMORY_BYTES = 2 << 30
TASKS = 512
_FILE_BYTES = 4 << 30
_OPEN_FILES = 1024, 16384
NICE = 10
_PR_SET_DUMPABLE = 4


def take() -> None:
    """Put limits on this process and on all that it starts."""
    # One process may not grow past this between two looks of the guard. Not the address space, of which node and Java
    # reserve far more than they use.
    _limit(resource.RLIMIT_DATA, 2 * MEMORY_BYTES)
    _limit(resource.RLIMIT_FSIZE, _FILE_BYTES)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_NOFILE, _OPEN_FILES[1])
    # What speaks select() cannot do with more.
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(_OPEN_FILES), resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    try:
        with open("/proc/self/oom_score_adj", "wb", buffering=0) as stream:
            stream.write(b"1000")  # where memory is short, this goes first
    except OSError:  # some containers allow it to nobody
        return


def be_out_of_reach() -> None:
    """Let nobody trace this process, write to its memory or take its connection, though they are the same user.

    What it starts is not meant: execve(2) takes it back. Of /proc/self, what only its owner may write is root's now.
    """
    libc = dlopen(None, 0)  # type: ignore[arg-type]  # None is whatever is loaded
    if call_function(dlsym(libc, "prctl"), (_PR_SET_DUMPABLE, 0, 0, 0, 0)):
        raise SystemExit("prctl: what runs in the cage could trace what guards it")


def count_tasks() -> None:
    """Limit the tasks of this user namespace (since Linux 5.14 they are counted in it); root's are not counted."""
    _limit(resource.RLIMIT_NPROC, TASKS)


def _limit(what: int, most: int) -> None:
    hard = resource.getrlimit(what)[1]
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(what, (most, most))
