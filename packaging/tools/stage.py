"""Lays out, below a folder, every file that the packages hold: `stage.py BUNDLE ROOT`.

BUNDLE is what bundle.py gathered; nothing else is read but the source tree, no network is used, and the same source
gives the same bytes. Run by the Python that the packages are for, with OCG_BUILD_KIND (deb or rpm), OCG_COMMIT and
SOURCE_DATE_EPOCH in the environment.
"""

import compileall
import os
import py_compile
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from left_out import LEFT_OUT

SOURCE = Path(__file__).resolve().parents[2]
PRIVATE = Path("usr/lib/ocg")
SYSTEMD = Path("usr/lib/systemd")
PROGRAMS = ("ocg", "ocg-embedding", "ocg-agent", "ocg-gateway", "ocg-tool")
MODELS = ("minilm", "smollm2-135m")
KIND = os.environ["OCG_BUILD_KIND"]

# Files of our dependencies that nothing of OCG's reads: tests, headers, static libraries, sources, stubs, programs.
UNUSED = (
    "**/tests", "numpy/**/*_tests.*.so", "multidict/_testcapi.*.so", "**/_pyinstaller", "**/conftest.py", "include",
    "**/*.a", "**/*.c", "**/*.h", "**/*.pxd", "**/*.pyx", "**/*.pxi", "**/*.pyi", "**/py.typed",
    "**/*.exe",
    "llama_cpp/server", "llama_cpp/lib/cmake", "llama_cpp/lib/pkgconfig", "llama_cpp/lib/libllama-common.so*",
    "faiss/contrib", "gguf/scripts", "jsonschema/benchmarks", "mcp/cli", "tqdm/completion.sh",
    "numpy/testing", "numpy/random",
    "numpy/distutils", "numpy/f2py", "numpy/_core/include", "numpy/_core/lib",
    "numpy/_core/_simd.*.so",
    "lxml/html", "lxml/isoschematron", "lxml/includes", "lxml/objectify.*.so", "lxml/sax.*", "lxml/builder.*",
    *(f"{name}{end}" for name in LEFT_OUT for end in ("", "-*.dist-info")),
)  # fmt: skip
# An installer's notes, which are wrong once a file is gone.
NOTES = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json")


def main() -> None:
    """Lay them out."""
    bundle, root = (Path(argument).resolve() for argument in sys.argv[1:3])
    epoch = int(os.environ["SOURCE_DATE_EPOCH"])
    os.umask(0o022)
    with tempfile.TemporaryDirectory(prefix="ocg-stage-") as scratch:
        tools = Tools(Path(scratch), bundle / "wheels")
        environment(root / PRIVATE, bundle / "wheels", tools.wheel())
        models(bundle, root)
        units(root)
        tools.write(root)
    compile_modules(root / PRIVATE)
    settle(root, epoch)


class Tools:
    """A virtual environment with what builds OCG, and with OCG itself, whose parsers and settings are read."""

    def __init__(self, scratch: Path, wheels: Path) -> None:
        self._scratch = scratch
        self._wheels = wheels
        self._python = scratch / "tools/bin/python"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", scratch / "tools"], check=True)
        install(self._python, wheels, *sorted(wheels.glob("*.whl")))

    def wheel(self) -> Path:
        """Build OCG's own wheel."""
        target = self._scratch / "wheel"
        subprocess.run([self._python, "-m", "hatchling", "build", "-t", "wheel", "-d", target], check=True, cwd=SOURCE)
        [found] = target.glob("*.whl")
        install(self._python, self._wheels, found)
        return found

    def write(self, root: Path) -> None:
        """Run the generators."""
        made = self._scratch / "made"
        tools = SOURCE / "packaging/tools"
        subprocess.run([self._python, tools / "manual.py", made], check=True)
        subprocess.run([self._python, tools / "bill.py", root / PRIVATE, made], check=True)
        for page in sorted((made / "man").iterdir()):
            copy(page, root / f"usr/share/man/man{page.suffix[1:]}" / page.name)
        copy(made / "env.config", root / "etc/ocg/env.config")
        zsh = "vendor-completions" if KIND == "deb" else "site-functions"
        copy(made / "completions/bash/ocg", root / "usr/share/bash-completion/completions/ocg")
        copy(made / "completions/zsh/_ocg", root / f"usr/share/zsh/{zsh}/_ocg")
        copy(made / "completions/fish/ocg.fish", root / "usr/share/fish/vendor_completions.d/ocg.fish")
        copy(made / "ocg.metainfo.xml", root / "usr/share/metainfo/invalid.ocg.ocg.metainfo.xml")
        copy(made / "ocg.cdx.json", root / "usr/share/ocg/ocg.cdx.json")
        for package, name in (("ocg", "copyright"), ("ocg-model-smollm2", "copyright-model")):
            folder = "doc" if KIND == "deb" else "licenses"
            copy(made / name, root / "usr/share" / folder / package / "copyright")


def install(python: Path, wheels: Path, *what: Path) -> None:
    """Install wheels and nothing else."""
    pip(python, wheels, "--no-deps", *what)


def pip(python: Path, wheels: Path, *arguments: str | Path) -> None:
    """Have the pip that is among the wheels install something from there."""
    [found] = wheels.glob("pip-*.whl")
    options = ("--quiet", "--python", python, "install", "--no-index", "--no-compile")
    subprocess.run((sys.executable, found / "pip", *options, *arguments), check=True)


def environment(target: Path, wheels: Path, wheel: Path) -> None:
    """Make the private environment: OCG, what it runs with and nothing else."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", "--symlinks", target], check=True)
    pip(target / "bin/python", wheels, "--find-links", wheels, wheel)
    [packages] = target.glob("lib/python3.*/site-packages")
    prune(packages)
    link_copies(packages / "llama_cpp/lib")
    strip(packages)
    programs(target)


def compile_modules(target: Path) -> None:
    """Compile all modules, and delete the installer's notes, which bill.py was the last to need.

    When a module is imported, nothing compares it with its source: who changes a file here does so by a package.
    """
    [packages] = target.glob("lib/python3.*/site-packages")
    for path in packages.glob("*.dist-info/*"):
        if path.name in NOTES:
            path.unlink()
    unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH
    placed = f"/{PRIVATE}/{packages.relative_to(target)}"
    if not compileall.compile_dir(
        packages, quiet=1, stripdir=packages, prependdir=placed, invalidation_mode=unchecked, workers=0
    ):
        raise SystemExit("a module does not compile")


def prune(packages: Path) -> None:
    """Delete what nothing uses. A pattern that matches nothing is an error, or the list would grow for ever."""
    found = {pattern: list(packages.glob(pattern)) for pattern in UNUSED}
    if stale := [pattern for pattern, paths in found.items() if not paths]:
        raise SystemExit(f"these match nothing in {packages}; take them out of UNUSED: {' '.join(stale)}")
    for path in {path for paths in found.values() for path in paths}:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def link_copies(folder: Path) -> None:
    """Make links of a library's other names: a wheel, being a zip, holds a copy for each."""
    for base in sorted(folder.glob("*.so")):
        copies = sorted(folder.glob(f"{base.name}.*"), key=lambda path: len(path.name))
        if copies:
            base.unlink()
            base.symlink_to(copies[0].name)
        for path in copies[1:]:
            path.unlink()


def strip(packages: Path) -> None:
    """Strip what was compiled here; others' wheels were rewritten by patchelf and would not survive it."""
    ours = [*packages.glob("llama_cpp/lib/*.so*"), *packages.glob("pystemd/*.so")]
    subprocess.run(["strip", "--strip-unneeded", *(path for path in ours if not path.is_symlink())], check=True)


def programs(target: Path) -> None:
    """Leave our programs and the interpreter in the folder of programs, and no trace of where all this was made."""
    folder = target / "bin"
    for path in folder.iterdir():
        if path.name in PROGRAMS:
            # pip begins with two more lines of shell where a folder's name is long or has a space in it.
            text = path.read_text(encoding="utf-8").partition("import sys\n")[2]
            path.write_text(f"#!/{PRIVATE}/bin/python3\nimport sys\n{text}", encoding="utf-8")
        elif path.name != "python3":
            path.unlink()
    interpreter = folder / "python3"
    interpreter.unlink()
    interpreter.symlink_to(f"../../../bin/python3.{sys.version_info.minor}")
    (target / "pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = false\n", encoding="utf-8")
    for left in ("lib64", "include"):
        path = target / left
        path.unlink() if path.is_symlink() else shutil.rmtree(path)
    programs = target.parents[1] / "bin"
    programs.mkdir()
    for name in PROGRAMS:
        (programs / name).symlink_to(f"../lib/ocg/bin/{name}")


def models(bundle: Path, root: Path) -> None:
    """Copy the models."""
    for name in MODELS:
        copy(bundle / f"models/{name}.gguf", root / f"usr/share/ocg/models/{name}.gguf")


def units(root: Path) -> None:
    """Copy the units, and the files by which the distribution makes users, folders and rights."""
    folder, system = SOURCE / "units", SOURCE / "units/system"
    for path in _files(folder):
        target = path.relative_to(system) if path.is_relative_to(system) else path.relative_to(folder)
        copy(path, root / SYSTEMD / "system" / target)
    files = SOURCE / "packaging/systemd"
    copy(files / "ocg.sysusers.conf", root / "usr/lib/sysusers.d/ocg.conf")
    copy(files / "ocg.tmpfiles.conf", root / "usr/lib/tmpfiles.d/ocg.conf")
    copy(files / "ocg-package.tmpfiles.conf", root / "usr/lib/tmpfiles.d/ocg-package.conf")
    copy(files / "90-ocg.preset", root / SYSTEMD / "system-preset/90-ocg.preset")
    copy(files / "50-ocg.rules", root / "usr/share/polkit-1/rules.d/50-ocg.rules")
    for path in files.glob("*.catalog"):
        copy(path, root / SYSTEMD / "catalog" / path.name)


def copy(source: Path, target: Path) -> None:
    """Copy a file, and make the folders above it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def settle(root: Path, epoch: int) -> None:
    """Give everything the modes and the date that it has in a package."""
    for path in (root, *root.rglob("*")):
        if not path.is_symlink():
            runs = path.is_dir() or path.parent == root / PRIVATE / "bin"
            path.chmod(0o755 if runs else 0o640 if path.name == "env.config" else 0o644)
        os.utime(path, (epoch, epoch), follow_symlinks=False)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


if __name__ == "__main__":
    main()
