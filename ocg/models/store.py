"""The folder of models, and the one that packages fill: NAME.gguf is whole or not there at all."""

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ocg.errors import Code, OcgError
from ocg.models import catalog, gguf
from ocg.models.catalog import Model
from ocg.models.progress import Report

# What packages brought; we only read there.
SHARED = Path("/usr/share/ocg/models")


class State(StrEnum):
    """What is there of a model."""

    HERE = "here"
    DAMAGED = "damaged"
    PARTIAL = "partial"
    MISSING = "missing"


def path_in(folder: Path, name: str) -> Path:
    """Where a model of that name would lie."""
    return folder / f"{name}.gguf"


def find(folder: Path, name: str) -> Path:
    """Where a model lies, or would lie: the folder's own one wins over a package's, unless only that is whole."""
    own, shared, known = path_in(folder, name), path_in(SHARED, name), catalog.get(name)
    return shared if not _is_there(own, known) and _is_there(shared, known) else own


def _is_there(path: Path, known: Model | None) -> bool:
    """Whether there is such a file, and for a model of the catalog one of its size."""
    try:
        size_bytes = path.stat().st_size
    except OSError:
        return False
    return known is None or size_bytes == known.size_bytes


def part_in(folder: Path, name: str) -> Path:
    """Where what has come of a download lies, so that the next pull goes on from it."""
    return folder / f".{name}.part"


def as_path(name: str) -> Path | None:
    """Read what may stand in place of a model's name: a path, or a file: address. Raises MODEL_UNKNOWN for others."""
    if name.startswith("file:"):
        return Path(unquote(urlsplit(name).path))
    if "://" in name:
        raise OcgError(
            Code.MODEL_UNKNOWN,
            f"{name}: only the catalog's models are fetched by address, since their checksums are known",
            "download the file yourself, then `ocg models pull FILE`",
        )
    return Path(name).expanduser().absolute() if "/" in name or name.endswith(".gguf") else None


def resolve(folder: Path, name: str) -> Path:
    """Turn a catalog name, the name of a model pulled from a file, or a path into the path of a checked GGUF file.

    Reads no more than the header. Raises MODEL_UNKNOWN, MODEL_MISSING or MODEL_DAMAGED.
    """
    if path := as_path(name):
        gguf.check_whole(path)
        return path
    path, known = find(folder, name), catalog.get(name)
    if not path.exists():
        missing = known or catalog.find(name)
        raise OcgError(Code.MODEL_MISSING, f"the model {missing.name} is not here", f"ocg models pull {missing.name}")
    with_hint(name, lambda: gguf.check(path, size_bytes=known.size_bytes if known else None))
    return path


def with_hint(name: str, check: Callable[[], None]) -> None:
    """Check a model; what is damaged can be brought anew."""
    try:
        check()
    except OcgError as error:
        if error.code is Code.MODEL_DAMAGED:
            error.hint = f"ocg models rm {name} && ocg models pull {name}"
        raise


def state(folder: Path, model: Model) -> State:
    """Say what is there of a model of the catalog, going by its size."""
    path = find(folder, model.name)
    if _is_there(path, model):
        return State.HERE
    if path.exists():
        return State.DAMAGED
    return State.PARTIAL if kept_bytes(folder, model.name) else State.MISSING


def kept_bytes(folder: Path, name: str) -> int:
    """How much of a download that was cut off is kept."""
    try:
        return part_in(folder, name).stat().st_size
    except OSError:
        return 0


def names(folder: Path) -> tuple[str, ...]:
    """List the models that are there, the catalog's and others."""
    found = {path.stem for place in (folder, SHARED) for path in place.glob("[!.]*.gguf")}
    return tuple(sorted(name for name in found if find(folder, name).exists()))


def pull(folder: Path, name: str, report: Report) -> Path:
    """Bring a model of the catalog, or a local GGUF file by its path, unless it is there already.

    Raises MODEL_UNKNOWN, DOWNLOAD_FAILED, MODEL_DAMAGED (a wrong checksum) or DISK_FULL; then the model is not
    there, nor half of it.
    """
    path = as_path(name)
    if not path and state(folder, catalog.find(name)) is State.HERE:
        return find(folder, name)
    from ocg.models import pulling  # noqa: PLC0415 - 20 ms, which services and a pull of what is there do without

    return pulling.adopt(folder, path, report) if path else pulling.bring(folder, catalog.find(name), report)


def verify(folder: Path, name: str, report: Report) -> None:
    """Check a model of the catalog against its checksum, any other for being whole."""
    from ocg.models import pulling  # noqa: PLC0415 - as above

    path = resolve(folder, name)
    known = catalog.get(name)
    with_hint(name, lambda: pulling.check(known, path, report) if known else gguf.check_whole(path))


def remove(folder: Path, name: str) -> None:
    """Delete a model, and what is kept of its download.

    Raises MODEL_MISSING when nothing is there, FORBIDDEN when a package brought it.
    """
    part = part_in(folder, name)
    there = [path for path in (path_in(folder, name), part, part.with_name(f"{part.name}.etag")) if path.exists()]
    if not there and "/" not in name and (shared := path_in(SHARED, name)).exists():
        raise OcgError(
            Code.FORBIDDEN,
            f"a package brought {shared}, and takes it away again",
            f"remove that package, which `dpkg -S {shared}` or `rpm -qf {shared}` names",
        )
    if "/" in name or not there:
        raise OcgError(Code.MODEL_MISSING, f"no model {name!r} is here", "see `ocg models list`")
    for path in there:
        path.unlink()
