"""The packages' changelogs say what CHANGELOG.md says, in the forms that dpkg and rpm read."""

import shutil
import subprocess
import sys
from datetime import date
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

TOOLS = Path(__file__).parents[2] / "packaging/tools"
EPOCH = "1790000000"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The tool in a checkout with a changelog of its own."""
    shutil.copytree(TOOLS, tmp_path / "packaging/tools")
    shutil.copy(TOOLS.parents[1] / "pyproject.toml", tmp_path)
    (tmp_path / "CHANGELOG.md").write_text(
        "# Changelog\n\n## [Unreleased]\n\n## [0.2.0] - 2026-11-24\n\n### Added\n\n"
        "- The first point, which is\n  wrapped, of 100% use.\n\n### Fixed\n\n- The second.\n\n"
        "## [0.1.0] - 2026-10-01\n\n- Older.\n"
    )
    return tmp_path


def run(tool: Path, out: Path, version: str) -> None:
    subprocess.run([sys.executable, str(tool), str(out), "--version", version, "--date", EPOCH], check=True)


def write(checkout: Path) -> Path:
    run(checkout / "packaging/tools/changelog.py", checkout / "out", "0.2.0")
    return checkout / "out"


def test_debians_changelog_has_the_newest_section_that_says_something(checkout: Path) -> None:
    assert (write(checkout) / "changelog").read_text() == (
        "ocg (0.2.0-1) unstable; urgency=medium\n\n"
        "  * The first point, which is wrapped, of 100% use.\n"
        "  * The second.\n\n"
        " -- The OCG developers <developers@ocg.invalid>  Mon, 21 Sep 2026 14:13:20 +0000\n"
    )


def test_rpms_changelog_says_the_same_and_has_no_macro(checkout: Path) -> None:
    assert (write(checkout) / "changelog.spec").read_text() == (
        "* Mon Sep 21 2026 The OCG developers <developers@ocg.invalid> - 0.2.0-1\n"
        "- The first point, which is wrapped, of 100%% use.\n"
        "- The second.\n"
    )


def test_dpkg_reads_it_without_a_warning(tmp_path: Path) -> None:
    run(TOOLS / "changelog.py", tmp_path, "0.1.0")
    read = ["dpkg-parsechangelog", "-l", str(tmp_path / "changelog"), "-S", "Timestamp"]
    done = subprocess.run(read, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == (f"{EPOCH}\n", "")


def releases() -> ModuleType:
    spec = spec_from_file_location("releases", TOOLS / "releases.py")
    assert spec
    assert spec.loader
    sys.modules["releases"] = module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_section_has_its_version_and_day(checkout: Path) -> None:
    found = releases().read(checkout / "CHANGELOG.md")
    assert [(one.version, one.day) for one in found] == [("0.2.0", date(2026, 11, 24)), ("0.1.0", date(2026, 10, 1))]


def test_a_heading_that_is_neither_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "CHANGELOG.md").write_text("## 0.2.0 (today)\n\n- Something.\n")
    with pytest.raises(ValueError, match="neither"):
        releases().read(tmp_path / "CHANGELOG.md")
