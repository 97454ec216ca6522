"""What a package says of what it holds: every component is named, with its licence, and nothing is there unnamed."""

import json
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from debian.copyright import Copyright
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from ocg import __version__

ROOT = Path(__file__).parents[2]
SITE = "lib/python3.11/site-packages"
PREFIX = f"usr/lib/ocg/{SITE}"


def closure() -> set[str]:
    """What OCG requires, as constraints.txt has it without what only builds it."""
    found: dict[str, Distribution] = {
        canonicalize_name(one.metadata["Name"]): one for one in distributions(path=[str(ROOT / ".venv" / SITE)])
    }
    todo: list[tuple[str, str]] = [("ocg", "")]
    done: set[tuple[str, str]] = set()
    while todo:
        name, extra = todo.pop()
        done.add((name, extra))
        for one in map(Requirement, found[name].requires or ()):
            if one.marker is None or one.marker.evaluate({"extra": extra}):
                todo += [(canonicalize_name(one.name), wanted) for wanted in ("", *one.extras)]
        todo = [one for one in todo if one not in done]
    return {name for name, _ in done}


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """The checkout's environment without what only builds and tests, by links."""
    wanted = closure()
    site = tmp_path / "environment" / SITE
    site.mkdir(parents=True)
    for one in distributions(path=[str(ROOT / ".venv" / SITE)]):
        if canonicalize_name(one.metadata["Name"]) in wanted:
            for name in {path.parts[0] for path in one.files or ()} - {"..", "__pycache__"}:
                if not (site / name).exists():
                    (site / name).symlink_to(ROOT / ".venv" / SITE / name)
    return tmp_path / "environment"


def bill(environment: Path, out: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "packaging/tools/bill.py"), str(environment), str(out)]
    clean = {"PATH": os.environ["PATH"], "SOURCE_DATE_EPOCH": "1790000000"}
    return subprocess.run(command, env=clean, capture_output=True, text=True, check=False)


@pytest.fixture
def out(environment: Path, tmp_path: Path) -> Path:
    done = bill(environment, tmp_path / "out")
    assert done.returncode == 0, done.stderr
    return tmp_path / "out"


def names_in(licence: str) -> set[str]:
    return set(re.split(r" (?:and|or) ", licence))


def read_copyright(path: Path) -> Any:
    return Copyright(path.read_text(encoding="utf-8").splitlines(keepends=True), strict=True)


def test_the_bill_is_valid_and_names_every_component_with_its_licence(out: Path) -> None:
    text = (out / "ocg.cdx.json").read_text(encoding="utf-8")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bom = json.loads(text)
    components = {one["bom-ref"]: one for one in bom["components"]}
    assert bom["metadata"]["component"]["version"] == __version__
    assert closure() - {"ocg"} <= set(components)
    assert {
        "numpy:openblas",
        "faiss-cpu:libgomp",
        "llama-cpp-python:ggml",
        "pip:requests",
        "cryptography:openssl",
    } <= set(components)
    assert {"npm:preact", "npm:dompurify", "model:minilm", "model:smollm2-135m"} <= set(components)
    assert "npm:esbuild" not in components
    assert all(one["licenses"] for one in components.values())
    assert components["pystemd"]["licenses"] == [{"expression": "LGPL-2.1-or-later"}]
    assert components["npm:@preact/signals"]["purl"].startswith("pkg:npm/%40preact/signals@")
    assert components["model:minilm"]["type"] == "machine-learning-model"
    assert re.fullmatch(r"\d+\.\d+\.\d+", components["llama-cpp-python:ggml"]["version"])
    assert components["faiss-cpu:libgomp"]["version"].startswith("8.5.0")


def test_the_bill_says_what_depends_on_what(out: Path) -> None:
    bom = json.loads((out / "ocg.cdx.json").read_text(encoding="utf-8"))
    graph = {one["ref"]: set(one.get("dependsOn", ())) for one in bom["dependencies"]}
    assert {"aiohttp", "npm:preact", "model:minilm"} <= graph["ocg"]
    assert {"numpy", "faiss-cpu:openblas"} <= graph["faiss-cpu"]
    assert graph["npm:@preact/signals"] == {"npm:@preact/signals-core"}


def test_the_same_environment_gives_the_same_bytes(environment: Path, out: Path, tmp_path: Path) -> None:
    assert bill(environment, tmp_path / "again").returncode == 0
    for one in sorted(path for path in out.rglob("*") if path.is_file()):
        assert one.read_bytes() == (tmp_path / "again" / one.relative_to(out)).read_bytes()


@pytest.mark.parametrize("name", ["copyright", "copyright-model"])
def test_every_licence_that_a_copyright_file_names_is_explained_there(out: Path, name: str) -> None:
    read = read_copyright(out / name)
    explained = {one.license.synopsis for one in read.all_license_paragraphs()}
    used = set().union(*(names_in(one.license.synopsis) for one in read.all_files_paragraphs()))
    assert used == explained
    assert all(one.license.text.strip() for one in read.all_license_paragraphs())


def test_every_distribution_has_its_own_paragraph(out: Path) -> None:
    read = read_copyright(out / "copyright")
    whole = {pattern for one in read.all_files_paragraphs() for pattern in one.files}
    for one in distributions(path=[str(ROOT / ".venv" / SITE)]):
        if (name := canonicalize_name(one.metadata["Name"])) in closure() - {"ocg"}:
            folder = next(path.parts[0] for path in one.files or () if path.parts[0].endswith(".dist-info"))
            assert f"{PREFIX}/{folder}/*" in whole, name


def test_a_library_in_a_wheel_has_its_own_licence(out: Path) -> None:
    read = read_copyright(out / "copyright")

    def paragraph(path: str) -> Any:
        found = read.find_files_paragraph(path)
        assert found
        return found

    gomp = paragraph(f"{PREFIX}/faiss_cpu.libs/libgomp-e985bcbb.so.1.0.0")
    assert gomp.license.synopsis == "GPL-3.0-or-later with GCC-exception-3.1 exception"
    assert "LGPL-2.1-only" in paragraph(f"{PREFIX}/lxml/etree.cpython-311-x86_64-linux-gnu.so").license.synopsis
    assert paragraph(f"{PREFIX}/pip/_vendor/certifi/cacert.pem").license.synopsis == "MPL-2.0"
    assert "Preact Team" in paragraph(f"{PREFIX}/ocg/gateway/page/assets/app.js").copyright
    assert paragraph("usr/share/ocg/models/minilm.gguf").license.synopsis == "Apache-2.0"
    assert paragraph("usr/bin/ocg").copyright.strip() == "Copyright 2026 The OCG developers"


def test_licence_files_and_notices_go_along(out: Path) -> None:
    assert "Andrew Svetlov" in (out / "licenses/yarl/NOTICE").read_text(encoding="utf-8")
    assert "GNU GENERAL PUBLIC LICENSE" in (out / "licenses/GPL-3.0-or-later.txt").read_text(encoding="utf-8")
    assert "Preact Team" in (out / "licenses/page.txt").read_text(encoding="utf-8")
    assert (out / "licenses/numpy/LICENSE.txt").exists()


def test_the_metainfo_is_valid(out: Path) -> None:
    command = ["appstreamcli", "validate", "--no-net", str(out / "ocg.metainfo.xml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    text = (out / "ocg.metainfo.xml").read_text(encoding="utf-8")
    assert f'<release version="{__version__}" date="2026-09-21">' in text


def add(environment: Path, name: str, metadata: str) -> None:
    folder = environment / SITE / f"{name}-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {name}\nVersion: 1.0\n{metadata}")
    (folder / "RECORD").write_text(f"{name}-1.0.dist-info/METADATA,,\n")


def require(environment: Path, *names: str) -> None:
    """Let OCG require more."""
    folder = next((environment / SITE).glob("ocg-*.dist-info"))
    target = folder.resolve()
    folder.unlink()
    shutil.copytree(target, folder)
    with (folder / "METADATA").open("r+") as file:
        head, blank, rest = file.read().partition("\n\n")
        file.seek(0)
        file.write(head + "".join(f"\nRequires-Dist: {name}" for name in names) + blank + rest)


def test_what_nothing_requires_is_an_error(environment: Path, tmp_path: Path) -> None:
    add(environment, "stranger", "License-Expression: MIT\n")
    done = bill(environment, tmp_path / "out")
    assert done.returncode == 1
    assert done.stderr == "bill: in the environment, and nothing requires it: stranger\n"


def test_a_requirement_that_is_missing_is_an_error(environment: Path, tmp_path: Path) -> None:
    require(environment, "absent>=2")
    assert bill(environment, tmp_path / "out").stderr == "bill: absent is required, and not in the environment\n"


@pytest.mark.parametrize("metadata", ["", "License: Something New\n", "Classifier: License :: OSI Approved\n"])
def test_a_licence_that_is_not_known_is_an_error_that_names_the_component(
    environment: Path, tmp_path: Path, metadata: str
) -> None:
    require(environment, "stranger")
    add(environment, "stranger", metadata)
    done = bill(environment, tmp_path / "out")
    assert done.returncode == 1
    assert done.stderr.startswith("bill: stranger: ")


def test_a_library_that_nobody_knows_is_an_error(environment: Path, tmp_path: Path) -> None:
    libraries = environment / SITE / "numpy.libs"
    target = libraries.resolve()
    libraries.unlink()
    shutil.copytree(target, libraries)
    (libraries / "libnew-1234.so.1").touch()
    assert "licence is not known; add it to vendored.py: numpy.libs/libnew-1234.so.1" in (
        bill(environment, tmp_path / "out").stderr
    )


def test_a_file_of_no_distribution_is_an_error(environment: Path, tmp_path: Path) -> None:
    (environment / SITE / "stray.py").touch()
    assert bill(environment, tmp_path / "out").stderr == "bill: in the environment, and of no distribution: stray.py\n"
