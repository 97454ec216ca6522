"""Moving bytes with progress: copying, checksums, and whether they fit."""

import hashlib
import os
import shutil
from pathlib import Path
from typing import IO

from ocg.errors import Code, OcgError
from ocg.models.progress import Report

_CHUNK_BYTES = 1 << 20


def copy(source: IO[bytes], target: Path, report: Report, *, what: str, size_bytes: int) -> None:
    """Copy a stream into a file."""
    done = 0
    with target.open("wb") as stream:
        while chunk := source.read(_CHUNK_BYTES):
            stream.write(chunk)
            done += len(chunk)
            report(what, done, size_bytes)


def checksum(path: Path, report: Report) -> str:
    """Return a file's SHA-256 in hex."""
    found, done, size = hashlib.sha256(), 0, path.stat().st_size
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            found.update(chunk)
            done += len(chunk)
            report("checking", done, size)
    return found.hexdigest()


def need_space(folder: Path, size_bytes: int) -> None:
    """Raise DISK_FULL, with both numbers, unless the folder's disk has room."""
    free = shutil.disk_usage(folder).free
    if free < size_bytes:
        raise OcgError(
            Code.DISK_FULL,
            f"{folder} has {free >> 20} MiB free and {size_bytes >> 20} MiB are needed",
            "free some space, or set OCG_DATA_DIR to another disk",
        )


def settle(source: Path, target: Path) -> None:
    """Put a file in its place at once and for good: it is on the disk before its name is, and then its name too."""
    _sync(source)
    os.replace(source, target)
    _sync(target.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
