"""Where ocg-embedding is: its URL and the token for calling it, in one file that only its owner reads."""

import os
import secrets
import stat
from pathlib import Path

import msgspec

from ocg.errors import Code, OcgError

_NAME = "embedding.json"


class Address(msgspec.Struct, frozen=True):
    """A service's base URL, without a slash at the end, and the token it takes."""

    url: str
    token: str = ""

    def __repr__(self) -> str:
        """Keep the token out of logs."""
        return f"Address({self.url!r})"


def new_token() -> str:
    """Make a token for calls between services."""
    return secrets.token_urlsafe(32)


def publish(folder: Path, address: Address) -> None:
    """Write the address at once and readable by its owner alone; `folder` is trusted."""
    temporary = folder / f".{_NAME}.{os.getpid()}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with open(descriptor, "wb") as stream:
        stream.write(msgspec.json.encode(address))
    temporary.replace(folder / _NAME)


def withdraw(folder: Path, address: Address) -> None:
    """Remove the address, unless another has taken its place."""
    try:
        if find(folder) == address:
            (folder / _NAME).unlink()
    except OcgError:
        return


def find(folder: Path) -> Address:
    """Read the published address. Raises UNAVAILABLE when there is none, UNSAFE_PATH when it is not ours."""
    try:
        descriptor = os.open(folder / _NAME, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        raise OcgError(
            Code.UNAVAILABLE, f"ocg-embedding is not running: no address in {folder}", "start it: ocg start"
        ) from None
    with open(descriptor, "rb") as stream:
        status = os.fstat(stream.fileno())
        if status.st_uid not in {os.geteuid(), 0} or not stat.S_ISREG(status.st_mode):
            raise OcgError(
                Code.UNSAFE_PATH,
                f"{folder / _NAME} belongs to user {status.st_uid}",
                "move it away, or set OCG_RUNTIME_DIR",
            )
        try:
            return msgspec.json.decode(stream.read(65536), type=Address)
        except msgspec.DecodeError as error:
            raise OcgError(Code.UNAVAILABLE, f"{folder / _NAME} is damaged: {error}", "ocg restart") from None
