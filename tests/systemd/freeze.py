"""Stops a process's threads, all but the first: `python -m tests.systemd.freeze PID`, until standard input ends.

It is what a hung call of llama.cpp looks like from outside: the event loop turns, and a thread never comes back.
"""

import ctypes
import os
import sys
from pathlib import Path

_SEIZE, _INTERRUPT = 0x4206, 0x4207  # linux/ptrace.h


def freeze(pid: int) -> int:
    """Stop the threads by ptrace(2) and return how many."""
    libc = ctypes.CDLL(None, use_errno=True)
    threads = [int(path.name) for path in Path(f"/proc/{pid}/task").iterdir() if path.name != str(pid)]
    for thread in threads:
        for request in (_SEIZE, _INTERRUPT):
            if libc.ptrace(request, thread, None, None) != 0:
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return len(threads)


if __name__ == "__main__":
    sys.stdout.write(f"frozen {freeze(int(sys.argv[1]))}\n")
    sys.stdout.flush()
    sys.stdin.read()
