"""Which manager runs the services: the one that is asked for, else the one that they are installed for."""

import os
from pathlib import Path

from ocg.errors import Code, OcgError
from ocg.managers.places import DIRECT, MANAGERS, SYSTEM, USER, environ_of, runtime_dir, unit_folders

_UNIT = "ocg-gateway.service"
_BOOTED = Path("/run/systemd/system")  # sd_booted(3)


def choose(asked: str = "", *, file: str = "", pid_dir: str = "") -> str:
    """Return the manager's name. No bus is asked: where no systemd runs, that costs a look at one folder.

    `asked` is --manager or OCG_MANAGER. `file` and `pid_dir` are the env.config and the folder of PID files that were
    named, if they were: units are meant then only if they use these very ones.
    Raises CONFIG_INVALID for a name there is none of, UNAVAILABLE for one that does not run here.
    """
    asked = asked or os.environ.get("OCG_MANAGER", "")
    if asked:
        return _checked(asked)
    if not _is_there(_BOOTED):
        return DIRECT
    candidates = (SYSTEM,) if os.geteuid() == 0 else (USER, SYSTEM)
    return next((one for one in candidates if _is_installed(one) and _runs(one) and _uses(one, file, pid_dir)), DIRECT)


def _checked(asked: str) -> str:
    if asked not in MANAGERS:
        raise OcgError(Code.CONFIG_INVALID, f"there is no manager {asked!r}", f"it is one of {', '.join(MANAGERS)}")
    if asked != DIRECT and not _runs(asked):
        what = "the system's systemd" if asked == SYSTEM else "a systemd of this user"
        hint = "use --manager direct" if asked == SYSTEM else "log in, or let it linger: loginctl enable-linger"
        raise OcgError(Code.UNAVAILABLE, f"{what} does not run here", hint)
    return asked


def _runs(name: str) -> bool:
    return _is_there(_BOOTED) and (name == SYSTEM or _is_there(Path(runtime_dir(), "systemd")))


def _is_installed(name: str) -> bool:
    return any(_is_there(folder / _UNIT) for folder in unit_folders(name))


def _uses(name: str, file: str, pid_dir: str) -> bool:
    places = environ_of(name)
    own = Path(places["CONFIGURATION_DIRECTORY"], "env.config"), Path(places["RUNTIME_DIRECTORY"])
    return all(
        not named or Path(named).expanduser().resolve() == one for named, one in zip((file, pid_dir), own, strict=True)
    )


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # in a folder of another user's, whose environment `sudo -E` kept
        return False
