"""Lingering: a user's manager that runs from boot on, whether or not its user is logged in."""

import time

from ocg.errors import Code, OcgError
from ocg.managers.install.files import Say
from ocg.managers.install.host import Host

_WAIT_S = 10.0


def ensure(host: Host, say: Say) -> None:
    """Enable it where that is allowed; it also starts a manager where none runs. Raises UNAVAILABLE when none does."""
    user, wait_s = host.user_name, _WAIT_S
    if host.lingers():
        say("kept lingering")
    else:
        try:
            host.run("loginctl", "enable-linger", user)
            say("enabled lingering: OCG starts at boot, and outlives your logins")
        except OcgError as error:
            say(f"did not enable lingering, so OCG ends with your last login: {error.message}")
            say(f"  to have it run always: sudo loginctl enable-linger {user}")
            wait_s = 0.0
    require_manager(host, wait_s=wait_s)


def require_manager(host: Host, *, wait_s: float = 0.0) -> None:
    """Wait so long for the user's manager to be there. Raises UNAVAILABLE when it is not."""
    user, deadline = host.user_name, time.monotonic() + wait_s
    while not host.has_manager():
        if time.monotonic() >= deadline:
            raise OcgError(
                Code.UNAVAILABLE,
                f"no systemd manager runs for {user}",
                f"log in by ssh or on a terminal, not by su or sudo; or: sudo loginctl enable-linger {user}",
            )
        time.sleep(0.02)  # a socket that comes into being has no event but inotify's, which Python lacks
