"""What is in the packages: code for every CPU, nothing that nothing uses, and the same bytes each time."""

import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.systemd.box import CHECKOUT

pytestmark = pytest.mark.timeout(150)

# One for each set of instructions that llama.cpp knows on x86-64 (ggml/src/CMakeLists.txt).
_VARIANTS = {
    "x64", "sse42", "sandybridge", "ivybridge", "piledriver", "haswell", "alderlake", "skylakex", "cannonlake",
    "cascadelake", "cooperlake", "icelake", "sapphirerapids", "zen4",
}  # fmt: skip
# What x86-64-v2 has not: any register wider than 16 bytes, and any instruction in the form of AVX.
_NEEDS_MORE = re.compile(r"%[yz]mm|\tv[a-z0-9]+ .*%xmm")
_PLACES = (
    "etc/ocg", "lib/systemd/system", "lib/systemd/system-preset", "usr/bin", "usr/lib/ocg", "usr/lib/systemd/catalog",
    "usr/lib/sysusers.d", "usr/lib/tmpfiles.d", "usr/share/bash-completion/completions", "usr/share/doc/ocg",
    "usr/share/doc/ocg-model-smollm2", "usr/share/fish/vendor_completions.d", "usr/share/lintian/overrides",
    "usr/share/man", "usr/share/metainfo", "usr/share/ocg", "usr/share/polkit-1/rules.d",
    "usr/share/zsh/vendor-completions",
)  # fmt: skip
_UNUSED_FOLDERS = {"tests", "test", "testing", "include", "cmake", "pkgconfig", ".git", ".cache", "cache"}
_UNUSED_NAMES = re.compile(
    r".*\.(h|hpp|hxx|a|la|o|c|cc|cpp|cxx|pyx|pxd|pxi|pyi|f90|cmake|pc|exe|dll|dylib|whl|egg|orig|rej|map|pyo|log|typed)"
    r"|RECORD|INSTALLER|REQUESTED|direct_url\.json|CACHEDIR\.TAG|conftest\.py|.*\.egg-link|.*\.pth"
)
# Where things are made; others' wheels have names of machines that no longer are in them.
_THIS_MACHINE = re.compile(re.escape(str(CHECKOUT).encode()) + rb"\b|ocg-(stage|bundle|build)-\w+/")
_ANY_MACHINE = re.compile(rb"/(tmp|root|home|srv|work|build|var)/[\w./-]*")
# Run by the package's interpreter, which alone knows what its own compiled modules look like.
_COMPILED = """
import importlib.util, marshal, pathlib, sys
packages = pathlib.Path(sys.argv[1])
modules = {pathlib.Path(importlib.util.cache_from_source(str(path))): path for path in packages.rglob("*.py")}
compiled = set(packages.rglob("*.pyc"))
for path in sorted(compiled ^ set(modules)):
    print("stray" if path in compiled else "missing", path)
for path in compiled & set(modules):
    unchecked = (1).to_bytes(4, "little") + importlib.util.source_hash(modules[path].read_bytes())
    content = path.read_bytes()
    if content[:16] != importlib.util.MAGIC_NUMBER + unchecked:
        print("stale", path)
    elif (named := marshal.loads(content[16:]).co_filename) != f"/{modules[path].relative_to(sys.argv[2])}":
        print("named", named, path)
"""
_IMPORTED = """
import ast, importlib, pathlib, ocg
from ocg.imports import without_running

without_running("pystemd")
for path in sorted(pathlib.Path(ocg.__file__).parent.rglob("*.py")):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and not node.level:
            wanted = [(node.module, one.name) for one in node.names]
        elif isinstance(node, ast.Import):
            wanted = [(one.name, None) for one in node.names]
        else:
            continue
        for module, name in wanted:
            # Traces and the browser are extras, left to who wants them (docs/metrics.md, docs/web.md).
            if module.partition(".")[0] in {"ocg", "opentelemetry", "playwright"}:
                continue
            try:
                if name and not hasattr(importlib.import_module(module), name):
                    module = f"{module}.{name}"
                importlib.import_module(module)
            except ImportError as error:
                print(path, node.lineno, error)
"""
# What the embedding service does with every text.
_EMBED = """
import asyncio, json, logging, pathlib, sys
import numpy
from ocg.embedding.encoder import Encoder
from ocg.embedding.vectors.segment import Query, Segment

async def main():
    encoder = await Encoder.load(pathlib.Path(sys.argv[1]), threads=1)
    [embedded] = await encoder.embed(["An operating system shares a machine among programs."])
    index = Segment.empty(encoder.dim, "cosine")
    index.append(numpy.asarray([7]), numpy.asarray([embedded.vector]))
    found = index.search(Query(embedded.vector, 1, "cosine"))
    print(json.dumps({"vector": embedded.vector.tolist(), "found": found}))
    await encoder.close()

logging.basicConfig(level=logging.INFO)
asyncio.run(main())
"""


@pytest.fixture(scope="module")
def members(package: Path, model_package: Path) -> list[tarfile.TarInfo]:
    """All that both packages put into a system."""
    found = []
    for path in (package, model_package):
        with (
            subprocess.Popen(["dpkg-deb", "--fsys-tarfile", path], stdout=subprocess.PIPE) as process,
            tarfile.open(fileobj=process.stdout, mode="r|") as archive,
        ):
            found += list(archive)
        assert process.returncode == 0
    return found


@pytest.fixture(scope="module")
def tree(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, unpacked; with this system's interpreter, at which its own link points."""
    folder = tmp_path_factory.mktemp("package")
    subprocess.run(["dpkg-deb", "-x", package, folder], check=True)
    (folder / "usr/bin/python3.11").symlink_to("/usr/bin/python3.11")
    return folder


@pytest.fixture(scope="module")
def packages(tree: Path) -> Path:
    """Its site-packages."""
    [found] = tree.glob("usr/lib/ocg/lib/python3.*/site-packages")
    return found


def _embed(tree: Path, *emulated: str) -> tuple[str, list[float]]:
    """Embed a sentence as the package does; give the kind of CPU it has code for, and the vector."""
    command: list[str | Path] = [
        *emulated,
        tree / "usr/lib/ocg/bin/python3",
        "-c",
        _EMBED,
        tree / "usr/share/ocg/models/minilm.gguf",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tree)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["found"][0][0] == 7
    chosen = re.search(r"llama\.cpp computes with its code for (.+)", done.stderr)
    assert chosen, done.stderr
    return chosen[1], answer["vector"]


def test_there_is_code_for_every_kind_of_cpu(packages: Path) -> None:
    libraries = packages.glob("llama_cpp/lib/libggml-cpu-*.so")
    assert {path.stem.removeprefix("libggml-cpu-") for path in libraries} == _VARIANTS


def test_no_other_code_of_ours_needs_more_than_the_oldest_of_them(packages: Path) -> None:
    """Others' wheels choose their code at run time too, in one file; that is shown by running it, below."""
    ours = {*packages.glob("llama_cpp/lib/*.so*"), *packages.glob("pystemd/*.so")}
    chosen = set(packages.glob("llama_cpp/lib/libggml-cpu-*.so"))
    assert _instructions(packages / "llama_cpp/lib/libggml-cpu-haswell.so"), "this test would notice nothing"
    for path in ours - chosen:
        assert not _instructions(path), path


def _instructions(library: Path) -> list[str]:
    done = subprocess.run(["objdump", "-d", "--no-show-raw-insn", library], capture_output=True, text=True, check=True)
    return [line for line in done.stdout.splitlines() if _NEEDS_MORE.search(line)]


def test_an_old_cpu_gets_its_own_code_and_the_same_vector(tree: Path) -> None:
    chosen, vector = _embed(tree, "qemu-x86_64", "-cpu", "Nehalem")
    assert chosen == "sse42"
    natively_chosen, native = _embed(tree)
    assert natively_chosen in _VARIANTS
    assert sum(map(float.__mul__, vector, native)) >= 0.999


def test_everything_is_roots_and_nobody_else_may_write(members: list[tarfile.TarInfo]) -> None:
    for member in members:
        assert (member.uid, member.gid, member.uname, member.gname) == (0, 0, "root", "root"), member.name
        assert member.issym() or not member.mode & 0o7022, f"{member.name}: {member.mode:o}"
        assert member.isfile() or member.isdir() or member.issym(), member.name


def test_it_goes_to_the_places_that_are_known(members: list[tarfile.TarInfo]) -> None:
    names = {member.name.removeprefix("./").rstrip("/") for member in members if not member.isdir()}
    stray = {name for name in names if not name.startswith(tuple(f"{place}/" for place in _PLACES))}
    assert stray == set()
    empty = {place for place in _PLACES if not any(name.startswith(f"{place}/") for name in names)}
    assert empty == set()


def test_it_has_nothing_that_nothing_uses(members: list[tarfile.TarInfo]) -> None:
    names = [Path(member.name) for member in members if not member.isdir()]
    assert [str(name) for name in names if _UNUSED_NAMES.fullmatch(name.name)] == []
    code = [name for name in names if "licenses" not in name.parts]
    assert [str(name) for name in code if _UNUSED_FOLDERS & set(name.parent.parts)] == []


def test_it_has_all_that_ocg_imports_anywhere(tree: Path) -> None:
    """Also in the middle of a function: a part of a dependency that was left out would be missed there, and late."""
    python = tree / "usr/lib/ocg/bin/python3"
    done = subprocess.run([python, "-P", "-c", _IMPORTED], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_every_module_is_compiled_once_and_to_what_it_says(tree: Path, packages: Path) -> None:
    python = tree / "usr/lib/ocg/bin/python3"
    done = subprocess.run([python, "-c", _COMPILED, packages, tree], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    assert next(packages.rglob("*.pyc"), None)


def test_no_file_knows_where_it_was_made(tree: Path, packages: Path) -> None:
    compiled_here = {*packages.glob("llama_cpp/lib/*.so*"), *packages.glob("pystemd/*.so")}
    for path in (path for path in tree.rglob("*") if path.is_file() and not path.is_symlink()):
        found = (_ANY_MACHINE if path in compiled_here else _THIS_MACHINE).search(path.read_bytes())
        assert not found, f"{path.relative_to(tree)}: {found[0]!r}"


def test_two_stagings_give_the_same_bytes(package: Path, tmp_path: Path) -> None:
    """From files in another order in a folder of another name, by somebody with other habits."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True, text=True, check=True, cwd=CHECKOUT,
    )  # fmt: skip
    page = (str(path.relative_to(CHECKOUT)) for path in (CHECKOUT / "ocg/gateway/page").rglob("*") if path.is_file())
    files = [*filter(None, listed.stdout.split("\0")), *page]
    one, other = (tmp_path / name for name in ("one", "the/other one"))
    staging = (
        _staging(one, sorted(files), {"TZ": "Asia/Kolkata", "LANG": "C.UTF-8", "PYTHONHASHSEED": "1"}, umask=0o022),
        _staging(other, sorted(files, reverse=True), {"TZ": "America/Lima", "LANG": "C"}, umask=0o077),
    )
    for process in staging:
        printed, _ = process.communicate()
        assert process.returncode == 0, printed
    first, second = _stated(one / "root"), _stated(other / "root")
    assert first.keys() == second.keys()
    assert {name: (state, second[name]) for name, state in first.items() if state != second[name]} == {}


def _staging(folder: Path, files: list[str], habits: dict[str, str], umask: int) -> "subprocess.Popen[str]":
    for name in files:
        target = folder / "source" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(CHECKOUT / name, target)
    shutil.copytree(CHECKOUT / ".make/bundle", folder / "bundle", copy_function=os.link)
    (folder / "temporary").mkdir()
    made = {"OCG_BUILD_KIND": "deb", "OCG_COMMIT": "0" * 40, "SOURCE_DATE_EPOCH": "1750000000"}
    return subprocess.Popen(
        ["/usr/bin/python3", folder / "source/packaging/tools/stage.py", folder / "bundle", folder / "root"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder), "TMPDIR": str(folder / "temporary"), **made, **habits},
        umask=umask,
    )


def _stated(root: Path) -> dict[str, tuple[str, int, str]]:
    """Say of every file its mode, its date and what is in it."""
    found = {}
    for path in (root, *root.rglob("*")):
        state = path.lstat()
        what = str(path.readlink()) if path.is_symlink() else "a folder" if path.is_dir() else _digest(path)
        found[str(path.relative_to(root))] = (stat.filemode(state.st_mode), state.st_mtime_ns, what)
    return found


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
