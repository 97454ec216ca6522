"""Where the files for systemd lie: in the installed package, or at the root of the checkout it runs from."""

from pathlib import Path

from ocg.errors import Code, OcgError

_PACKAGE = Path(__file__).parent.parent


def units() -> Path:
    """The folder of unit files; its sub-folder `system` holds what only the system's manager gets."""
    return _folder("units", "units")


def system_files() -> Path:
    """The folder of the files for sysusers, tmpfiles, polkit and the journal's catalog."""
    return _folder("systemd", "packaging/systemd")


def _folder(name: str, in_checkout: str) -> Path:
    for found in (_PACKAGE / "shipped" / name, _PACKAGE.parent / in_checkout):
        if found.is_dir():
            return found
    raise OcgError(Code.UNAVAILABLE, f"the files for systemd ({in_checkout}) are not there", "install OCG anew")
