"""A restart that a tool of the agent asks for: who asks is part of what is to be stopped."""

import os
import select
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ocg.errors import OcgError


def is_inside(service: str) -> bool:
    """Whether this process belongs to a service's unit: a tool of the agent, say."""
    lines = Path("/proc/self/cgroup").read_text(encoding="ascii", errors="replace").splitlines()
    return any(f"/{service}.service/" in f"{line}/" for line in lines)


def after_exit(action: Callable[[], Any], *, timeout_s: float = 30.0) -> None:
    """Do something once this process has ended: a restart that is asked for by the one that is to be restarted.

    Who asked has its answer by then, and systemd's stop does not cut it off. What goes wrong is in the journal.
    """
    ours = os.pidfd_open(os.getpid())
    if os.fork():
        os.close(ours)
        return
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(null, descriptor)
    poll = select.poll()
    poll.register(ours, select.POLLIN)
    try:
        if poll.poll(timeout_s * 1000):
            action()
    except OcgError as error:
        import syslog  # noqa: PLC0415 - where something goes wrong

        # Nobody reads our output, but the journal does take this.
        syslog.openlog("ocg", syslog.LOG_PID)
        syslog.syslog(syslog.LOG_ERR, str(error))
    finally:
        os._exit(0)
