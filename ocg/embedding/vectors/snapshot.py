"""A base on the disk: checked to the last byte before FAISS reads it, and mapped: it takes memory as it is used.

Nothing in it is the truth: whatever is wrong with one, it is deleted, and made anew from vectors.db.
"""

import logging
import os
import secrets
import shutil
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from ocg.embedding.vectors.model import Collection
from ocg.embedding.vectors.segment import Segment, faiss

_log = logging.getLogger(__name__)
_FORMAT = 1
_MANIFEST = "manifest.json"
_CHUNK_BYTES = 16 << 20

Beat = Callable[[], None]


class File(msgspec.Struct, frozen=True):
    """A file of a snapshot, and what must be in it."""

    name: str
    size: int
    crc32: int


class Manifest(msgspec.Struct, frozen=True):
    """What a snapshot is. It is the last file to be written, by one rename: without it the others count for nothing."""

    format: int
    faiss: str
    model: str | None
    dim: int
    metric: str
    watermark: int
    count: int
    index: File
    rows: File


class UnusableError(Exception):
    """A snapshot cannot be used; the text says why."""


class Snapshots:
    """The snapshots below one folder, in a folder for each collection."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def folder(self, collection: Collection) -> Path:
        """Where a collection's lies."""
        return self._root / str(collection.number)

    def load(self, collection: Collection, highest_row: int, beat: Beat) -> Segment | None:
        """Return a collection's base, checked and mapped; None when there is none that can be used.

        `highest_row` is the highest that vectors.db ever gave out: a snapshot with a higher one is another file's.
        """
        folder = self.folder(collection)
        if not (folder / _MANIFEST).exists():
            self.remove(collection.number)  # what a crash left
            return None
        try:
            return _load(folder, collection, highest_row, beat)
        except (UnusableError, OSError, ValueError, RuntimeError) as error:
            _log.warning(
                "the snapshot of %r cannot be used, it is made anew from vectors.db: %s", collection.name, error
            )
            self.remove(collection.number)
            return None

    def save(self, collection: Collection, base: Segment, watermark: int, beat: Beat) -> Segment:
        """Write a base, and return it as it is mapped from the disk. Raises OSError; then the one before stays."""
        folder = self.folder(collection)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _fsync(self._root)
        stamp = f"{watermark}-{secrets.token_hex(4)}"
        try:
            index = _write(folder / f"{stamp}.index.faiss", lambda path: _write_index(base.index, path), beat)
            rows = _write(folder / f"{stamp}.rows.npy", lambda path: _write_rows(base, path), beat)
            manifest = Manifest(
                _FORMAT, faiss().__version__, collection.model, collection.dim, collection.metric,
                watermark, base.size, index, rows,
            )  # fmt: skip
            _commit(folder, msgspec.json.encode(manifest))
        except BaseException:
            for path in folder.glob(f"{stamp}.*"):
                path.unlink()
            raise
        loaded = Segment(_mapped(folder / index.name), base.rows.copy())
        for path in folder.iterdir():  # what is still mapped of them stays until it is not
            if path.name not in {_MANIFEST, index.name, rows.name}:
                path.unlink()
        return loaded

    def path_of(self, collection: Collection) -> Path | None:
        """Where the index of a snapshot lies that was loaded or saved."""
        with suppress(OSError, msgspec.DecodeError):
            manifest = msgspec.json.decode((self.folder(collection) / _MANIFEST).read_bytes(), type=Manifest)
            return self.folder(collection) / manifest.index.name
        return None

    def remove(self, number: int) -> None:
        """Delete a collection's snapshot, if there is one."""
        shutil.rmtree(self._root / str(number), ignore_errors=True)

    def keep_only(self, numbers: set[int]) -> None:
        """Delete the snapshots of collections that are no more."""
        with suppress(FileNotFoundError):
            for path in self._root.iterdir():
                if path.name not in {str(number) for number in numbers}:
                    shutil.rmtree(path, ignore_errors=True)


def _load(folder: Path, collection: Collection, highest_row: int, beat: Beat) -> Segment:
    import numpy as np  # noqa: PLC0415 - FAISS has it imported

    try:
        manifest = msgspec.json.decode((folder / _MANIFEST).read_bytes(), type=Manifest)
    except msgspec.DecodeError as error:
        raise UnusableError(f"its manifest is damaged ({error})") from None
    _check(manifest, collection, highest_row)
    for file in (manifest.index, manifest.rows):
        _check_file(folder, file, beat)
    rows = np.load(folder / manifest.rows.name)
    index = _mapped(folder / manifest.index.name)
    if not index.ntotal == len(rows) == manifest.count:
        raise UnusableError("its files do not belong together")
    return Segment(index, rows)


def _check(manifest: Manifest, collection: Collection, highest_row: int) -> None:
    wanted = (_FORMAT, faiss().__version__, collection.model, collection.dim, collection.metric)
    found = (manifest.format, manifest.faiss, manifest.model, manifest.dim, manifest.metric)
    names = ("format", "FAISS", "model", "dimension", "metric")
    for name, is_, should in zip(names, found, wanted, strict=True):
        if is_ != should:
            raise UnusableError(f"its {name} is {is_}, not {should}")
    if manifest.watermark > highest_row:
        raise UnusableError(f"it knows row {manifest.watermark}, vectors.db only {highest_row}")


def _check_file(folder: Path, file: File, beat: Beat) -> None:
    """Compare with what the manifest says: a damaged graph would have FAISS read anywhere, and end the process."""
    path = folder / Path(file.name).name
    size = path.stat().st_size
    if size != file.size:
        raise UnusableError(f"{path.name} has {size} bytes of {file.size}")
    if _checksum(path, beat) != file.crc32:
        raise UnusableError(f"{path.name} is damaged")


def _checksum(path: Path, beat: Beat) -> int:
    found, buffer = 0, bytearray(_CHUNK_BYTES)
    with path.open("rb", buffering=0) as stream:
        while size := stream.readinto(buffer):
            found = zlib.crc32(memoryview(buffer)[:size], found)
            beat()
    return found


def _mapped(path: Path) -> Any:
    """Return an index whose vectors and graph stay in the mapping of its file."""
    return faiss().read_index(str(path), faiss().IO_FLAG_MMAP_IFC)


def _write(path: Path, write: Callable[[Path], None], beat: Beat) -> File:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    write(path)
    _fsync(path)
    beat()
    return File(path.name, path.stat().st_size, _checksum(path, beat))


def _write_index(index: Any, path: Path) -> None:
    try:
        faiss().write_index(index, str(path))
    except RuntimeError as error:  # FAISS does not say which error number it met
        raise OSError(None, str(error).strip().splitlines()[-1], str(path)) from error


def _write_rows(base: Segment, path: Path) -> None:
    import numpy as np  # noqa: PLC0415 - FAISS has it imported

    with path.open("wb") as stream:
        np.save(stream, base.rows)


def _commit(folder: Path, manifest: bytes) -> None:
    beside = folder / f".{_MANIFEST}"
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as stream:
        stream.write(manifest)
        stream.flush()
        os.fsync(stream.fileno())
    _fsync(folder)
    os.replace(beside, folder / _MANIFEST)
    _fsync(folder)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
