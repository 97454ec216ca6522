"""The rpm, as rpm installs it in a clean system of its own: scriptlets, services, upgrade under load, erasure."""

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.systemd import debian
from tests.systemd.box import CHECKOUT, Box, booted, why_not
from tests.systemd.conftest import skip_or_fail
from tests.systemd.loads import SERVICES, SOCKETS, UPGRADED, upgraded_under_load

pytestmark = pytest.mark.timeout(300)

# Debian's rpm knows nothing of what dpkg installed; the requirements are tested for themselves.
_RPM = ("rpm", "--nodeps")


@pytest.fixture(scope="session")
def rpms() -> tuple[Path, Path]:
    """The packages that `make rpm` built, OCG's and the chat model's."""
    [package] = (CHECKOUT / "dist").glob("ocg-[0-9]*.x86_64.rpm")
    [model] = (CHECKOUT / "dist").glob("ocg-model-smollm2-*.noarch.rpm")
    return package, model


@pytest.fixture(scope="session")
def next_rpm(rpms: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A later build of OCG's."""
    return debian.rebuilt(rpms, tmp_path_factory.mktemp("next"), "9.0.0", UPGRADED)


@pytest.fixture(scope="session")
def clean(rpms: tuple[Path, Path], next_rpm: Path) -> Path:
    """A clean system with the packages lying ready."""
    if reason := why_not():
        skip_or_fail(reason)
    return debian.root(*rpms, next_rpm)


@contextmanager
def _machine(clean: Path) -> Iterator[Box]:
    with booted(clean, path="") as box:
        debian.install(box, *debian.FOR_RPM)
        yield box


@pytest.fixture
def machine(clean: Path) -> Iterator[Box]:
    """It, booted, with rpm and what a distribution that has it brings along."""
    with _machine(clean) as box:
        yield box


@pytest.fixture(scope="module")
def installed(clean: Path, rpms: tuple[Path, Path]) -> Iterator[Box]:
    """It, with OCG installed and started; for tests that only look."""
    with _machine(clean) as box:
        _install(box, *rpms)
        box.run("ocg", "start")
        yield box


def _install(box: Box, *packages: Path) -> None:
    printed = box.run(*_RPM, "-i", *(f"/packages/{one.name}" for one in packages)).text
    assert not re.search("warning|error|fail", printed, re.IGNORECASE), printed


def test_a_distribution_has_all_it_requires(installed: Box, rpms: tuple[Path, Path]) -> None:
    required = {re.split("[ (]", line)[0] for line in _asked("--requires", rpms[0])}
    libraries = {name for name in required if name.startswith("lib")}
    assert required - libraries == {
        "/bin/sh", "/usr/bin/kill", "/usr/bin/python3.11", "ld-linux-x86-64.so.2", "rpmlib", "rtld", "config",
        "systemd", "util-linux",
    }  # fmt: skip
    assert libraries == {
        "libc.so.6", "libdl.so.2", "libgcc_s.so.1", "libgomp.so.1", "libm.so.6", "libpthread.so.0", "libstdc++.so.6",
        "librt.so.1", "libsystemd.so.0", "libz.so.1",
    }  # fmt: skip
    # Libraries of one folder are opened one after the other, so that each finds those before it.
    unmet = """
        export LD_LIBRARY_PATH=$(find /usr/lib/ocg -type d -name '*.libs' -o -path '*/llama_cpp/lib' | paste -sd:)
        find /usr/lib/ocg -name '*.so*' -type f -exec ldd {} + | grep 'not found' || true
    """
    assert installed.run("bash", "-c", unmet).stdout == ""


def _asked(what: str, package: Path) -> list[str]:
    done = subprocess.run(("rpm", "-qp", what, package), capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_every_program_has_a_manual_page(rpms: tuple[Path, Path]) -> None:
    files = [Path(line) for line in _asked("--list", rpms[0])]
    programs = {path.name for path in files if path.parent == Path("/usr/bin")}
    assert programs == {"ocg", "ocg-embedding", "ocg-agent", "ocg-gateway", "ocg-tool"}
    assert programs <= {path.name.split(".")[0] for path in files if path.is_relative_to("/usr/share/man")}


def test_it_works(installed: Box) -> None:
    assert installed.run("ocg", "status").stdout.endswith("Health: ok\n")
    assert debian.knows_paris(installed)
    assert installed.run("ocg", "models", "path", "minilm").stdout.strip() == "/usr/share/ocg/models/minilm.gguf"
    assert installed.run("python3.11", "-c", debian.EMBEDDING).stdout.strip() == "384"
    assert json.loads(installed.run("ocg", "version", "--json").stdout)["kind"] == "rpm"
    assert installed.journal("-p", "err", "-o", "cat", "-u", "ocg-*") == ""


def test_its_scriptlets_made_users_and_folders_and_enabled_units(installed: Box) -> None:
    modes = installed.run(
        "stat",
        "-c",
        "%a %U:%G",
        "/etc/ocg",
        "/etc/ocg/env.config",
        "/var/lib/ocg",
        "/var/lib/ocg/token",
        "/var/lib/ocg/workspace",
    ).stdout.splitlines()
    assert modes == ["755 root:root", "640 root:ocg", "710 ocg:ocg", "640 ocg:ocg", "3770 ocg:ocg-tool"]
    assert installed.run("id", "-un", "ocg-tool").stdout.strip() == "ocg-tool"
    assert debian.is_confined(installed)
    assert installed.run("readlink", "/tmp/ocg").stdout.strip() == "/run/ocg"
    states = installed.run("systemctl", "is-enabled", "ocg.target", "ocg-gateway", *SOCKETS).stdout.split()
    assert states == ["enabled"] * 4


def test_rpm_finds_its_files_as_they_were_packed(installed: Box) -> None:
    # The dependencies alone, which are dpkg's here, are not looked at.
    assert installed.run(*_RPM, "-V", "ocg", "ocg-model-smollm2").text == ""


def test_an_upgrade_under_load_loses_nothing_and_keeps_what_the_user_wrote(
    machine: Box, rpms: tuple[Path, Path], next_rpm: Path
) -> None:
    _install(machine, *rpms)
    upgraded_under_load(machine, lambda: machine.run(*_RPM, "-U", f"/packages/{next_rpm.name}"))
    assert machine.run("find", "/etc/ocg", "-name", "*.rpm*").stdout == "/etc/ocg/env.config.rpmnew\n"


def test_who_stopped_it_does_not_find_it_running_after_an_upgrade(
    machine: Box, rpms: tuple[Path, Path], next_rpm: Path
) -> None:
    _install(machine, *rpms)
    machine.run("ocg", "start")
    machine.run("ocg", "stop")
    machine.run("systemctl", "disable", "ocg-gateway")
    machine.run(*_RPM, "-U", f"/packages/{next_rpm.name}")
    states = machine.run("systemctl", "is-active", *SERVICES, *SOCKETS, check=False).stdout.split()
    assert states == ["inactive"] * 5
    assert machine.run("systemctl", "is-enabled", "ocg-gateway", check=False).stdout == "disabled\n"


def test_an_erasure_keeps_what_the_user_has(machine: Box, rpms: tuple[Path, Path]) -> None:
    _install(machine, *rpms)
    machine.run("ocg", "start")
    token = machine.run("cat", "/var/lib/ocg/token").stdout
    machine.run("tee", "-a", "/etc/ocg/env.config", text="OCG_LOG_LEVEL=debug\n")
    machine.run("rpm", "-e", "ocg", "ocg-model-smollm2")
    assert machine.run("systemctl", "list-units", "--plain", "--no-legend", "ocg*").stdout == ""
    left = machine.run("find", "/", "-xdev", "-name", "*ocg*", "-not", "-path", "/packages/*").stdout
    assert set(left.split()) <= {"/etc/ocg", "/var/lib/ocg", "/var/cache/ocg", "/var/log/ocg"}
    assert machine.run("find", "/run", "/tmp", "-name", "ocg*").stdout == ""
    assert "OCG_LOG_LEVEL=debug" in machine.run("cat", "/etc/ocg/env.config.rpmsave").stdout
    assert machine.run("cat", "/var/lib/ocg/token").stdout == token


def test_rpmlint_has_nothing_to_say(rpms: tuple[Path, Path]) -> None:
    folder = CHECKOUT / "packaging/rpm"
    options = ("-c", folder / "rpmlint.toml", "-r", folder / "ocg.rpmlintrc")
    done = subprocess.run(("rpmlint", *options, *rpms), capture_output=True, text=True, check=False)
    assert "0 errors, 0 warnings" in done.stdout, done.stdout + done.stderr
