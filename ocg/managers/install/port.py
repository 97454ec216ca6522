"""The port that systemd listens on for ocg-embedding: 50000, or the first one up to 60000 that nobody else has."""

import re

from ocg.errors import Code, OcgError
from ocg.managers.install.host import Host

SOCKET = "ocg-embedding.socket"
_FIRST, _LAST = 50000, 60000
_LISTEN = re.compile(r"^ListenStream=127\.0\.0\.1:(\d+)$", re.MULTILINE)


def choose(host: Host, before: str) -> int:
    """Choose the port; `before` is the drop-in of the last installation, whose choice stays while it can.

    Raises PORT_IN_USE when all are taken.
    """
    found = _LISTEN.search(before)
    current = int(found[1]) if found else _FIRST
    if host.is_active(SOCKET) or host.is_free(current):
        return current
    free = next((port for port in range(_FIRST, _LAST + 1) if host.is_free(port)), None)
    if free is None:
        raise OcgError(Code.PORT_IN_USE, f"every port from {_FIRST} to {_LAST} is in use", "free one of them")
    return free


def drop_in(port: int) -> str:
    """Write the drop-in for a port; empty for the one that the unit has anyway."""
    if port == _FIRST:
        return ""
    return (
        f"# Another program had port {_FIRST} when this was written.\n"
        f"[Socket]\nListenStream=\nListenStream=127.0.0.1:{port}\n"
    )
