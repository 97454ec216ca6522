"""Which manager is meant: what was asked for, what units are installed, whose configuration was named."""

import os
from pathlib import Path

import pytest

from ocg.errors import Code, OcgError
from ocg.managers import choose as choosing
from ocg.managers import places
from ocg.managers.choose import choose

_UNIT = "ocg-gateway.service"


class Machine:
    """A machine of folders alone."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.units = {"system": root / "etc/systemd/system", "user": root / "home/.config/systemd/user"}

    def install(self, manager: str) -> None:
        self.units[manager].mkdir(parents=True)
        (self.units[manager] / _UNIT).touch()

    def boot(self) -> None:
        (self.root / "booted").mkdir()

    def log_in(self) -> None:
        (self.root / "runtime/systemd").mkdir(parents=True)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """An ordinary user's; nothing runs, nothing is installed."""
    found = Machine(tmp_path)
    monkeypatch.delenv("OCG_MANAGER", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setattr(choosing, "_BOOTED", tmp_path / "booted")
    monkeypatch.setattr(choosing, "unit_folders", lambda name: (found.units[name],))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    return found


def test_where_no_systemd_runs_nothing_else_is_looked_at(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.install("system")
    monkeypatch.setattr(choosing, "_is_installed", lambda _: pytest.fail("it looked"))
    assert choose() == "direct"


@pytest.mark.parametrize(
    ("installed", "is_root", "is_logged_in", "wanted"),
    [
        ((), False, True, "direct"),
        (("system",), False, True, "system"),
        (("user",), False, True, "user"),
        (("user", "system"), False, True, "user"),
        (("user", "system"), False, False, "system"),
        (("user",), False, False, "direct"),
        (("user", "system"), True, True, "system"),
        (("user",), True, True, "direct"),
    ],
)
def test_what_is_installed_and_reachable_is_used(
    machine: Machine,
    monkeypatch: pytest.MonkeyPatch,
    *,
    installed: tuple[str, ...],
    is_root: bool,
    is_logged_in: bool,
    wanted: str,
) -> None:
    machine.boot()
    for manager in installed:
        machine.install(manager)
    if is_logged_in:
        machine.log_in()
    if is_root:
        monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert choose() == wanted


def test_a_configuration_of_ones_own_means_services_of_ones_own(machine: Machine) -> None:
    machine.boot()
    machine.install("system")
    assert choose(file="my.config") == "direct"
    assert choose(pid_dir="/tmp/pids") == "direct"
    assert choose(file="/etc/ocg/env.config") == "system"
    assert choose(pid_dir="/run/ocg") == "system"
    assert choose("system", file="my.config") == "system"


def test_a_link_to_the_units_folder_is_that_folder(machine: Machine) -> None:
    machine.boot()
    machine.log_in()
    machine.install("user")
    (machine.root / "runtime/ocg").mkdir()
    (machine.root / "pids").symlink_to(machine.root / "runtime/ocg")
    assert choose(pid_dir=str(machine.root / "pids")) == "user"


def test_a_masked_unit_is_installed(machine: Machine) -> None:
    machine.boot()
    machine.units["system"].mkdir(parents=True)
    (machine.units["system"] / _UNIT).symlink_to("/dev/null")
    assert choose() == "system"


def test_folders_of_another_user_are_no_bug(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.boot()
    machine.install("system")

    def forbid(path: Path) -> bool:
        if path.name in {"booted", _UNIT} and "home" not in path.parts:
            return True
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "exists", forbid)
    assert choose() == "system"


def test_what_is_asked_for_wins_and_the_command_line_over_the_environment(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.boot()
    machine.log_in()
    monkeypatch.setenv("OCG_MANAGER", "user")
    assert choose() == "user"
    assert choose("direct") == "direct"


@pytest.mark.parametrize(("name", "hint"), [("system", "--manager direct"), ("user", "loginctl enable-linger")])
def test_a_manager_that_does_not_run_is_told_with_the_remedy(machine: Machine, name: str, hint: str) -> None:
    if name == "user":
        machine.boot()
    with pytest.raises(OcgError, match="does not run here") as caught:
        choose(name)
    assert hint in caught.value.hint
    assert caught.value.code is Code.UNAVAILABLE


def test_a_manager_there_is_none_of_is_told_those_there_are(machine: Machine) -> None:
    with pytest.raises(OcgError, match=r"no manager 'docker' — it is one of direct, system, user"):
        choose("docker")


def test_the_cli_looks_where_the_units_of_each_manager_have_their_files(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "_CREDENTIALS", machine.root / "credstore")
    assert places.environ_of("direct") == {}
    assert places.environ_of("system") == {
        "CONFIGURATION_DIRECTORY": "/etc/ocg",
        "STATE_DIRECTORY": "/var/lib/ocg",
        "RUNTIME_DIRECTORY": "/run/ocg",
        "OCG_AGENT_SOCK": "/run/ocg/agent.sock",
    }
    assert places.environ_of("user") == {
        "CONFIGURATION_DIRECTORY": f"{machine.root}/home/.config/ocg",
        "RUNTIME_DIRECTORY": f"{machine.root}/runtime/ocg",
        "OCG_AGENT_SOCK": f"{machine.root}/runtime/ocg/agent.sock",
    }
    (machine.root / "credstore").mkdir()
    assert places.environ_of("system")["CREDENTIALS_DIRECTORY"] == f"{machine.root}/credstore"


def test_without_a_login_the_runtime_folder_is_known_by_the_users_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    assert places.runtime_dir() == f"/run/user/{os.getuid()}"
