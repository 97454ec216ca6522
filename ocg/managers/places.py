"""Where the services of each manager have their files: the environment that its units give them (systemd.exec(5))."""

import os
from collections.abc import Mapping
from pathlib import Path

DIRECT, SYSTEM, USER = MANAGERS = ("direct", "system", "user")
# Where LoadCredential= finds what has no path, plain and sealed (systemd.exec(5)).
_CREDENTIALS = Path("/etc/credstore")
_SEALED = Path("/etc/credstore.encrypted")


def runtime_dir() -> str:
    """Return the user's $XDG_RUNTIME_DIR, also where a login by su or cron did not set it."""
    return os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"


def environ_of(manager: str) -> Mapping[str, str]:
    """Return what a manager's units have in their environment, so that the CLI looks where they do."""
    match manager:
        case "system":
            found = _environ(Path("/etc/ocg"), Path("/run/ocg")) | {"STATE_DIRECTORY": "/var/lib/ocg"}
            return found | ({"CREDENTIALS_DIRECTORY": str(_CREDENTIALS)} if os.access(_CREDENTIALS, os.X_OK) else {})
        case "user":
            config = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
            return _environ(Path(config).expanduser() / "ocg", Path(runtime_dir()) / "ocg")
    return {}


def is_sealed(manager: str, key: str) -> bool:
    """Whether a setting is a credential that systemd alone can read."""
    return manager == SYSTEM and os.access(_SEALED / key, os.F_OK)


def _environ(config: Path, runtime: Path) -> dict[str, str]:
    return {
        "CONFIGURATION_DIRECTORY": str(config),
        "RUNTIME_DIRECTORY": str(runtime),
        "OCG_AGENT_SOCK": str(runtime / "agent.sock"),
    }


def unit_folders(manager: str) -> tuple[Path, ...]:
    """List where a manager finds units that are installed (systemd.unit(5)); the first that has one wins."""
    system = ("/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system")
    match manager:
        case "system":
            return tuple(map(Path, (*system, "/lib/systemd/system")))
        case "user":
            config = Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser()
            data = Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share").expanduser()
            shared = ("/etc/systemd/user", "/usr/local/lib/systemd/user", "/usr/lib/systemd/user")
            return (config / "systemd/user", *map(Path, shared), data / "systemd/user")
    return ()
