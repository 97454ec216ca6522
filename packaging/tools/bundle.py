"""Gathers all that a package is made of and that comes from elsewhere: `bundle.py FOLDER MODEL...`.

FOLDER/wheels has what OCG runs with and what builds its packages, each pinned by hash in constraints-dev.txt, and
FOLDER/models the models. llama.cpp is compiled once for each kind of CPU; that takes 10 minutes on two cores, so its
wheel is kept in OCG_BUILD_CACHE (default: ~/.cache/ocg-build), under a name made of all that it depends on.

Run by the Python that the packages are for. From there on no network is used.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PINS = ROOT / "constraints-dev.txt"
LLAMA = "llama-cpp-python"
# GGML_BACKEND_DL makes libraries of the variants, of which the fitting one is loaded. The last two keep llama.cpp's own
# installation inside the Python package instead of beside it.
LLAMA_FLAGS = (
    "-DGGML_NATIVE=OFF",
    "-DGGML_BACKEND_DL=ON",
    "-DGGML_CPU_ALL_VARIANTS=ON",
    "-DGGML_CCACHE=OFF",
    "-DLLAVA_BUILD=OFF",
    "-DCMAKE_INSTALL_LIBDIR=llama_cpp/lib",
    "-DCMAKE_INSTALL_BINDIR=llama_cpp/lib",
)


def main() -> None:
    """Fill the folder."""
    folder = Path(sys.argv[1]).resolve()
    shutil.rmtree(folder, ignore_errors=True)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory(prefix="ocg-bundle-") as scratch:
        builder = Builder(Path(scratch))
        builder.install(*project["dependency-groups"]["package"])
        wheels = folder / "wheels"
        builder.collect(wheels, *project["project"]["dependencies"], *project["dependency-groups"]["package"])
        shutil.copy(builder.llama(), wheels)
    models = folder / "models"
    models.mkdir()
    for path in sys.argv[2:]:
        shutil.copy(path, models)


class Builder:
    """A virtual environment with the tools that build wheels, every one of them pinned."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._python = scratch / "venv/bin/python"
        subprocess.run([sys.executable, "-m", "venv", scratch / "venv"], check=True)
        # What is compiled must not know where that was.
        mapped = f"{os.environ.get('CFLAGS', '')} -ffile-prefix-map={scratch}=."
        self._environ = os.environ | {"CFLAGS": mapped, "CXXFLAGS": mapped, "TMPDIR": str(scratch)}

    def install(self, *requirements: str) -> None:
        """Install tools."""
        # Twice: the interpreter's own pip is too old to take hashes from a file of constraints.
        pip = re.search(r"^pip==\S+ \\\n(?: +--hash=\S+(?: \\)?\n)+", PINS.read_text(encoding="utf-8"), re.MULTILINE)
        if pip is None:
            raise SystemExit(f"{PINS} does not pin pip")
        pinned = self._scratch / "pip.txt"
        pinned.write_text(pip[0], encoding="utf-8")
        self._pip("install", "--require-hashes", "-r", str(pinned))
        self._pip("install", "--require-hashes", "-c", str(PINS), *requirements)

    def collect(self, target: Path, *requirements: str) -> None:
        """Put the wheels of these requirements, and of theirs, into a folder; but not llama.cpp's."""
        sources = self._scratch / "sources"
        self._pip(
            "download", "--no-build-isolation", "--require-hashes", "-c", str(PINS), "-d", str(sources), *requirements
        )
        for source in sources.glob("llama_cpp_python-*"):
            source.rename(self._scratch / source.name)
        self._pip(
            "wheel",
            "--no-build-isolation",
            "--no-deps",
            "--no-cache-dir",
            "-w",
            str(target),
            *map(str, sources.iterdir()),
        )

    def llama(self) -> Path:
        """Return the path of llama.cpp's wheel, built if it is not kept."""
        [archive] = self._scratch.glob("llama_cpp_python-*.tar.gz")
        compiler = subprocess.run(["c++", "--version"], check=True, capture_output=True).stdout
        parts = (archive.read_bytes(), *map(str.encode, LLAMA_FLAGS), compiler, sys.version.encode())
        name = hashlib.sha256(b"\0".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()[:16]
        cache = Path(os.environ.get("OCG_BUILD_CACHE") or Path.home() / ".cache/ocg-build") / name
        if not any(cache.glob("*.whl")):
            print("compiling llama.cpp for every kind of CPU; that takes some minutes", flush=True)
            shutil.unpack_archive(archive, self._scratch / "llama")
            [source] = (self._scratch / "llama").iterdir()
            built = self._scratch / "built"
            self._environ["CMAKE_ARGS"] = " ".join(LLAMA_FLAGS)
            self._pip("wheel", "--no-build-isolation", "--no-deps", "--no-cache-dir", "-w", str(built), str(source))
            [wheel] = built.iterdir()
            cache.mkdir(parents=True, exist_ok=True)
            beside = cache / f".{wheel.name}.{os.getpid()}"
            shutil.copy(wheel, beside)
            beside.replace(cache / wheel.name)
        [found] = cache.glob("*.whl")
        return found

    def _pip(self, *arguments: str) -> None:
        subprocess.run([self._python, "-m", "pip", "--quiet", *arguments], check=True, env=self._environ)


if __name__ == "__main__":
    main()
