"""Which manager runs the services: the one that is asked for, else the one that they are installed for."""

import os
from pathlib import Path

from ocg.errors import Code, OcgError
from ocg.managers.places import DIRECT, MANAGERS, SYSTEM, USER, runtime_dir, unit_folders

_UNIT = "ocg-gateway.service"
_BOOTED = Path("/run/systemd/system")  # sd_booted(3)


def choose(asked: str = "", *, is_explicit: bool = False) -> str:
    """Return the manager's name. No bus is asked: where no systemd runs, that costs a look at one folder.

    `asked` is --manager or OCG_MANAGER; `is_explicit` says that a configuration was named, which units do not read.
    Raises CONFIG_INVALID for a name there is none of, UNAVAILABLE for one that does not run here.
    """
    asked = asked or os.environ.get("OCG_MANAGER", "")
    if asked:
        return _checked(asked)
    if is_explicit or not _BOOTED.is_dir():
        return DIRECT
    candidates = (SYSTEM,) if os.geteuid() == 0 else (USER, SYSTEM)
    return next((name for name in candidates if _is_installed(name) and _runs(name)), DIRECT)


def _checked(asked: str) -> str:
    if asked not in MANAGERS:
        raise OcgError(Code.CONFIG_INVALID, f"there is no manager {asked!r}", f"it is one of {', '.join(MANAGERS)}")
    if asked != DIRECT and not _runs(asked):
        what = "the system's systemd" if asked == SYSTEM else "a systemd of this user"
        hint = "use --manager direct" if asked == SYSTEM else "log in, or let it linger: loginctl enable-linger"
        raise OcgError(Code.UNAVAILABLE, f"{what} does not run here", hint)
    return asked


def _runs(name: str) -> bool:
    return _BOOTED.is_dir() and (name == SYSTEM or Path(runtime_dir(), "systemd").is_dir())


def _is_installed(name: str) -> bool:
    return any((folder / _UNIT).exists() for folder in unit_folders(name))
