"""The deb, as apt installs it in a clean Debian: first start, upgrade under load, downgrade, removal, purge."""

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ocg.agent.schema import MIGRATIONS
from tests.systemd import debian
from tests.systemd.box import Box, booted, why_not
from tests.systemd.conftest import skip_or_fail
from tests.systemd.loads import SERVICES, SOCKETS, UPGRADED, upgraded_under_load

pytestmark = pytest.mark.timeout(300)

_APT = ("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-o", "Dpkg::Options::=--force-confold", "--yes")
_DEPENDENCIES = ("python3", "libgomp1", "libstdc++6", "procps", "zlib1g", "ca-certificates", "bubblewrap")
# What every package leaves in every Debian: dpkg's and apt's own books, logs, and the users that were made.
_BOOKS = re.compile(
    r"/(proc|sys|dev|run/(systemd|udev|log|user|credentials|lock|nologin|utmp|mount|dbus|host)|packages"
    r"|var/(log|lib/(dpkg|apt|systemd)|cache/(apt|debconf|ldconfig))|etc/(passwd|group|g?shadow|subuid|subgid|ld.so.cache)"
    r"|tmp/systemd-private|var/tmp/systemd-private)"
)


@pytest.fixture(scope="session")
def next_package(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A later build, whose agent brings its database one version forward."""
    return debian.repacked(package, tmp_path_factory.mktemp("next"), "9.0.0-1", UPGRADED)


@pytest.fixture(scope="session")
def clean(package: Path, model_package: Path, next_package: Path) -> Path:
    """A clean Debian with the packages lying ready."""
    if reason := why_not():
        skip_or_fail(reason)
    return debian.root(package, model_package, next_package)


@contextmanager
def _machine(clean: Path) -> Iterator[Box]:
    with booted(clean, path="") as box:
        yield box


@pytest.fixture
def machine(clean: Path) -> Iterator[Box]:
    """It, booted."""
    with _machine(clean) as box:
        yield box


@pytest.fixture(scope="module")
def installed(clean: Path, package: Path, model_package: Path) -> Iterator[Box]:
    """It, with OCG installed as the README says; for tests that only look."""
    with _machine(clean) as box:
        _install(box, package, model_package)
        yield box


def _install(box: Box, *packages: Path) -> str:
    return box.run(*_APT, "install", *(f"/packages/{one.name}" for one in packages)).text


def _files(box: Box) -> set[str]:
    listed = box.run("find", "/", "-xdev", "-not", "-path", "/proc/*").stdout
    more = box.run("find", "/run", "/tmp", "/var/tmp").stdout
    return {path for path in (*listed.splitlines(), *more.splitlines()) if not _BOOKS.match(path)}


def test_one_command_gives_a_working_agent_without_a_network(installed: Box) -> None:
    status = installed.run("ocg", "status").stdout
    assert status.endswith("Health: ok\n")
    assert (
        installed.run("systemctl", "is-enabled", "ocg.target", "ocg-gateway", *SOCKETS).stdout.split()
        == ["enabled"] * 4
    )
    assert debian.knows_paris(installed)
    assert installed.run("ocg", "models", "path", "minilm").stdout.strip() == "/usr/share/ocg/models/minilm.gguf"


def test_it_embeds_by_openais_api(installed: Box) -> None:
    assert installed.run("python3.11", "-c", debian.EMBEDDING).stdout.strip() == "384"


def test_a_restart_of_each_service_leaves_it_healthy(installed: Box) -> None:
    for service in SERVICES:
        installed.run("systemctl", "restart", service)
        assert installed.run("ocg", "status").stdout.endswith("Health: ok\n")


def test_a_reload_works_with_what_the_package_brings(installed: Box) -> None:
    installed.run("systemctl", "reload", *SERVICES)


def test_the_version_says_commit_and_build(installed: Box, package: Path) -> None:
    found = json.loads(installed.run("ocg", "version", "--json").stdout)
    assert found["kind"] == "deb"
    assert found["commit"][:7] in package.name or "~git" not in package.name


def test_users_folders_and_modes_are_the_distributions_business(installed: Box) -> None:
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
    assert installed.run("dpkg", "--verify", "ocg").stdout == ""


def test_no_unit_is_enabled_for_every_user(installed: Box) -> None:
    found = installed.run("find", "/etc/systemd/user", "/usr/lib/systemd/user", "-name", "*ocg*").stdout
    assert found == ""


def test_the_journal_has_no_error(installed: Box) -> None:
    assert installed.journal("-p", "err", "-o", "cat", "-u", "ocg-*") == ""


def test_an_upgrade_under_load_loses_nothing_and_keeps_what_the_user_wrote(
    machine: Box, package: Path, next_package: Path
) -> None:
    _install(machine, package)
    upgraded_under_load(machine, lambda: _install(machine, next_package))


def test_an_older_version_says_so_and_changes_nothing(machine: Box, package: Path, next_package: Path) -> None:
    _install(machine, next_package)
    machine.wait_until("ocg status")
    machine.run("ocg", "stop")
    before = machine.run("bash", "-c", "cd /var/lib/ocg; sha256sum *; stat -c '%n %Y' *").stdout
    machine.run(*_APT, "install", "--allow-downgrades", f"/packages/{package.name}")
    failed = machine.run("ocg", "start", check=False)
    assert failed.returncode != 0
    known = len(MIGRATIONS)
    assert f"was written by a newer OCG (schema {known + 1}, this one knows {known})" in failed.text
    assert machine.run("bash", "-c", "cd /var/lib/ocg; sha256sum *; stat -c '%n %Y' *").stdout == before
    _install(machine, next_package)
    machine.run("ocg", "start")


def test_who_stopped_it_does_not_find_it_running_after_an_upgrade(
    machine: Box, package: Path, next_package: Path
) -> None:
    _install(machine, package)
    machine.run("ocg", "stop")
    machine.run("systemctl", "disable", "ocg-gateway")
    _install(machine, next_package)
    states = machine.run("systemctl", "is-active", *SERVICES, *SOCKETS, check=False).stdout.split()
    assert states == ["inactive"] * 5
    assert machine.run("systemctl", "is-enabled", "ocg-gateway", check=False).stdout == "disabled\n"


def test_a_removal_keeps_data_and_a_purge_leaves_nothing(machine: Box, package: Path) -> None:
    # What the package depends on is another package's business.
    machine.run(*_APT, "install", *_DEPENDENCIES)
    before = _files(machine)
    _install(machine, package)
    machine.wait_until("ocg status")
    token = machine.run("cat", "/var/lib/ocg/token").stdout
    machine.run("tee", "-a", "/etc/ocg/env.config", text="OCG_LOG_LEVEL=debug\n")
    machine.run(*_APT, "remove", "ocg")
    assert machine.run("systemctl", "list-units", "--plain", "--no-legend", "ocg*").stdout == ""
    kept = {
        path
        for path in _files(machine) - before
        if not path.startswith(("/var/lib/ocg", "/var/cache/ocg", "/var/log/ocg"))
    }
    enabled = {path for path in kept if path.startswith("/etc/systemd/system/")}
    assert kept - enabled == {"/etc/ocg", "/etc/ocg/env.config"}
    _install(machine, package)
    machine.wait_until("ocg status")
    assert machine.run("cat", "/var/lib/ocg/token").stdout == token
    assert "OCG_LOG_LEVEL=debug" in machine.run("cat", "/etc/ocg/env.config").stdout
    machine.run(*_APT, "purge", "ocg")
    assert _files(machine) - before == set()
    assert machine.run("find", "/", "-xdev", "-name", "*ocg*", "-not", "-path", "/packages/*").stdout == ""


def test_lintian_has_nothing_to_say(package: Path, model_package: Path) -> None:
    options = ("--pedantic", "--allow-root", "--fail-on", "pedantic,info,warning,error")
    done = subprocess.run(("lintian", *options, package, model_package), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
