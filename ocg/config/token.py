"""The token that OCG makes for the page and the API: a file beside the data, made once.

It is believed only where nobody else can have written it.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ocg.config import ownfile
from ocg.errors import Code, OcgError

_MAX_BYTES = 4096
_MODE = 0o640  # the group ocg may read what the service of the system made
_HINT = "remove it, and another is made; or set OCG_UI_TOKEN"


def path_in(data_dir: Path) -> Path:
    """Where the token lies, or would lie."""
    return data_dir / "token"


def read(data_dir: Path) -> str:
    """Return the token that was made; nothing when there is none that we may read and believe."""
    with suppress(OSError, OcgError):
        return _read(path_in(data_dir))
    return ""


def ensure(data_dir: Path) -> str:
    """Return the token; make one (mode 0640) when there is none, which is on the disk when this returns.

    Raises UNSAFE_PATH when what lies there cannot be believed, CONFIG_INVALID when none can be saved.
    """
    file = path_in(data_dir)
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(data_dir):
            return _read(file) or _make(file)
    except OSError as error:
        raise OcgError(
            Code.CONFIG_INVALID,
            f"{file}: the token can be neither read nor saved: {error.strerror}",
            "make it a file in a folder of your own, or set OCG_UI_TOKEN",
        ) from None


def _read(file: Path) -> str:
    try:
        return (ownfile.read(file, limit_bytes=_MAX_BYTES, hint=_HINT) or b"").decode("ascii").strip()
    except UnicodeDecodeError:
        raise OcgError(Code.UNSAFE_PATH, f"{file} is no token", "remove it, and another is made") from None


def _make(file: Path) -> str:
    import secrets  # noqa: PLC0415 - 10 ms, at the first start alone

    token = secrets.token_urlsafe(32)
    ownfile.write(file, f"{token}\n".encode(), mode=_MODE)
    return token


@contextmanager
def _locked(data_dir: Path) -> Iterator[None]:
    """Hold the folder's lock, so that two services started at once make one token."""
    folder = os.open(data_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)
