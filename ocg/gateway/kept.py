"""What the gateway keeps: small JSON files beside the data, which it alone writes and nobody else may read."""

import functools
from errno import ENOSPC
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from ocg.config import ownfile
from ocg.errors import Code, OcgError
from ocg.lifecycle.worker import Worker

T = TypeVar("T")

_MAX_BYTES = 4 << 20
_MODE = 0o600


class Kept(Generic[T]):
    """One file of one kind; the worker's thread reads and writes it."""

    def __init__(self, file: Path, kind: type[T], worker: Worker) -> None:
        self._file = file
        self._kind = kind
        self._worker = worker

    async def load(self) -> T | None:
        """Read it; None where there is none. Raises UNSAFE_PATH, DATA_DAMAGED or CONFIG_INVALID."""
        return await self._worker.run(self._load)

    async def save(self, value: T) -> None:
        """Write it; it is on the disk on return. Raises DISK_FULL or CONFIG_INVALID."""
        await self._worker.run(functools.partial(self._save, value))

    def _load(self) -> T | None:
        try:
            data = ownfile.read(self._file, limit_bytes=_MAX_BYTES, hint="move it away, or give it back to its owner")
            return None if data is None else msgspec.json.decode(data, type=self._kind)
        except msgspec.DecodeError as error:
            raise OcgError(
                Code.DATA_DAMAGED, f"{self._file} is damaged: {error}", "bring a copy back, or move it away"
            ) from None
        except OSError as error:
            raise self._unusable("read", error) from None

    def _save(self, value: T) -> None:
        try:
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            ownfile.write(self._file, msgspec.json.format(msgspec.json.encode(value)) + b"\n", mode=_MODE)
        except OSError as error:
            raise self._unusable("saved", error) from None

    def _unusable(self, done: str, error: OSError) -> OcgError:
        code = Code.DISK_FULL if error.errno == ENOSPC else Code.CONFIG_INVALID
        return OcgError(code, f"{self._file} cannot be {done}: {error.strerror}", "see to its folder: OCG_DATA_DIR")
