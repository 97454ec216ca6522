"""`ocg version` says what was built from what; a build leaves nothing of it in the checkout."""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from ocg import __version__
from ocg.cli import __main__ as cli
from ocg.cli import build
from ocg.cli.build import Build

CHECKOUT = Path(__file__).parent.parent.parent
COMMIT = "1a2b3c4d5e6f7a8b9c0d1a2b3c4d5e6f7a8b9c0d"


def _git(folder: Path, *command: str) -> str:
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    environ = os.environ | {"GIT_COMMITTER_DATE": "2026-11-24T23:30:00-0500"}
    whole = ("git", "-C", str(folder), *identity, *command)
    return subprocess.run(whole, check=True, capture_output=True, text=True, env=environ).stdout.strip()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A small project, built as ours is, in a repository of its own; gives its folder."""
    folder = tmp_path / "source"
    for name in (
        "packaging/tools/hatch_build.py",
        "pyproject.toml",
        "ocg/__init__.py",
        ".gitignore",
        "README.md",
        "LICENSE",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(CHECKOUT / name, folder / name)
    _git(folder, "init", "-q")
    _git(folder, "add", "-A")
    _git(folder, "commit", "-qm", "one")
    return folder


def _build(source: Path, target: str, **environ: str) -> Path:
    out = source.parent / "out"
    shutil.rmtree(out, ignore_errors=True)
    kept = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ} | {
        "PYTHONDONTWRITEBYTECODE": "1",
        "TZ": "EST5",
    }
    command = (sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(out))
    subprocess.run(command, cwd=source, env=kept | environ, check=True, capture_output=True)
    (found,) = out.iterdir()
    return found


def _info(wheel: Path) -> dict[str, str]:
    with zipfile.ZipFile(wheel) as members:
        assert members.namelist().count("ocg/build.json") == 1
        assert members.getinfo("ocg/build.json").external_attr >> 16 & 0o777 == 0o644, "every user reads it"
        found: dict[str, str] = json.loads(members.read("ocg/build.json"))
    return found


def test_a_wheel_knows_its_commit_and_that_ones_day_in_utc(source: Path) -> None:
    wanted = {"commit": _git(source, "rev-parse", "HEAD")[:12], "date": "2026-11-25", "kind": "wheel"}
    assert _info(_build(source, "wheel")) == wanted
    assert _git(source, "status", "--porcelain", "--ignored") == "", "the build left something in the checkout"


def test_what_a_package_says_wins(source: Path) -> None:
    found = _info(_build(source, "wheel", OCG_COMMIT=COMMIT, OCG_BUILD_KIND="deb", SOURCE_DATE_EPOCH="1795478400"))
    assert found == {"commit": COMMIT[:12], "date": "2026-11-24", "kind": "deb"}


def test_a_wheel_of_an_sdist_keeps_the_commit_without_git(source: Path) -> None:
    wanted = _info(_build(source, "wheel"))
    with tarfile.open(_build(source, "sdist")) as members:
        members.extractall(source.parent, filter="data")
    unpacked = source.parent / f"ocg-{__version__}"
    assert json.loads((unpacked / "ocg/build.json").read_text()) == wanted | {"kind": "sdist"}
    assert _info(_build(unpacked, "wheel")) == wanted


def test_without_anybody_who_knows_a_wheel_is_still_built(source: Path) -> None:
    shutil.rmtree(source / ".git")
    assert _info(_build(source, "wheel")) == {"commit": "", "date": "", "kind": "wheel"}


def test_an_editable_wheel_has_none(source: Path) -> None:
    code = "import sys; from hatchling.build import build_editable; build_editable(sys.argv[1])"
    out = source.parent / "out"
    out.mkdir()
    subprocess.run([sys.executable, "-c", code, str(out)], cwd=source, check=True, capture_output=True)
    (wheel,) = out.iterdir()
    assert "ocg/build.json" not in zipfile.ZipFile(wheel).namelist()


def test_a_package_says_what_it_was_built_from(tmp_path: Path) -> None:
    file = tmp_path / "build.json"
    file.write_text('{"commit": "1a2b3c4d5e6f", "date": "2026-11-24", "kind": "deb"}')
    assert str(build.find(tmp_path, file)) == "commit 1a2b3c4d5e6f, built 2026-11-24, deb"


def test_a_checkout_asks_git_and_does_without(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = _git(source, "rev-parse", "--short=12", "HEAD")
    _git(source, "tag", "-am", "a tag", "v9")
    absent = source / "ocg/build.json"
    assert build.find(source, absent) == Build(commit, "", "checkout")
    (source / "README.md").write_text("changed")
    assert str(build.find(source, absent)) == f"commit {commit}-dirty, checkout"
    below = source / "below"
    below.mkdir()
    assert str(build.find(below, absent)) == "checkout", "another's repository is not asked"
    monkeypatch.setenv("PATH", "/none")
    assert str(build.find(source, absent)) == "checkout"


def test_version_is_for_people_and_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["version"]) == 0
    assert re.fullmatch(rf"ocg {re.escape(__version__)} \(.*\w\)\n", capsys.readouterr().out)
    assert cli.run(["version", "--json"]) == 0
    assert json.loads(capsys.readouterr().out).keys() == {"version", "commit", "date", "kind"}
    assert not (CHECKOUT / "ocg/build.json").exists()
