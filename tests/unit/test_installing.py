"""`ocg service install`: nothing half-written, nothing twice, nothing of the user's touched, and all of it undone."""

import json
import os
import stat
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from ocg.cli.service import as_text
from ocg.errors import Code, OcgError
from ocg.managers.install import models, overview, unitfile
from ocg.managers.install.installation import Installation
from ocg.managers.install.layout import Layout
from ocg.managers.install.program import Program
from ocg.managers.install.removal import Removal
from ocg.models import catalog, store
from tests.conftest import MODELS

OPT = Program(Path("/opt/v/bin"), Path("/opt/v/bin/python"), (Path("/opt/v"),))
HOME = Program(Path("/home/a/v/bin"), Path("/home/a/v/bin/python"), (Path("/home/a/v"),))


class FakeHost:
    """A Host that remembers what it was asked for; `fails` are beginnings of commands that fail."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self.is_booted = False
        self.user_name = "alice"
        self.commands: list[str] = []
        self.owned: dict[Path, tuple[str, int]] = {}
        self.fails: tuple[str, ...] = ()
        self.taken: set[int] = set()
        self.active: set[str] = set()
        self.lingering = False
        self.manager = True
        self.owner = False

    def run(self, *command: str) -> None:
        line = " ".join(command)
        self.commands.append(line)
        if line.startswith(self.fails or "\0"):
            raise OcgError(Code.UNAVAILABLE, f"`{line}` failed: no")
        if command[0] == "systemd-sysusers":
            self.owner = True
        elif any(word.startswith("--prefix=") for word in command):
            (self._layout.data / "workspace").mkdir(exist_ok=True)
            (self._layout.data / "workspace").chmod(0o3770)
        elif command[0] == "systemd-tmpfiles":
            self._layout.link.parent.mkdir(parents=True, exist_ok=True)
            self._layout.link.symlink_to(self._layout.runtime)
        elif "enable" in command:
            folder = self._layout.units
            for name in (one for one in command if (folder / one).exists()):
                for link in unitfile.links((folder / name).read_text(), name, folder):
                    link.parent.mkdir(exist_ok=True)
                    link.symlink_to(folder / name)

    def own(self, path: Path, user: str, *, mode: int) -> None:
        self.owned[path] = (user, mode)
        path.chmod(mode)

    def has_owner(self) -> bool:
        return self.owner

    def has_manager(self) -> bool:
        return self.manager

    def is_active(self, unit: str) -> bool:
        return unit in self.active

    def lingers(self) -> bool:
        return self.lingering

    def is_free(self, port: int) -> bool:
        return port not in self.taken


class Place:
    """A machine in a folder, the models in it already."""

    def __init__(self, root: Path, *, user: bool) -> None:
        environ = {"HOME": str(root / "home"), "XDG_RUNTIME_DIR": str(root / "run")}
        self.layout = Layout.user(environ, root) if user else Layout.system(root)
        self.host = FakeHost(self.layout)
        self.lines: list[str] = []
        self.layout.models.mkdir(parents=True)
        for name in catalog.DEFAULTS:
            store.path_in(self.layout.models, name).symlink_to(store.path_in(MODELS, name))

    def install(self, program: Program = OPT) -> list[str]:
        self.lines.clear()
        Installation(self.layout, self.host, program, {"HOME": "/nowhere"}, self.lines.append).install()
        return self.lines

    def uninstall(self, *, purge: bool = False) -> list[str]:
        self.lines.clear()
        Removal(self.layout, self.host, self.lines.append).uninstall(purge=purge)
        return self.lines

    def tree(self) -> dict[Path, tuple[int, bytes]]:
        """Every file with its time and content, so that a file written anew shows, too."""
        folder = self.layout.link.parent.parent
        files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".gguf")
        return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


@pytest.fixture
def system(tmp_path: Path) -> Place:
    return Place(tmp_path, user=False)


@pytest.fixture
def user(tmp_path: Path) -> Place:
    return Place(tmp_path, user=True)


@pytest.mark.parametrize("kind", ["system", "user"])
def test_a_second_run_changes_nothing_and_says_kept(kind: str, request: pytest.FixtureRequest) -> None:
    place: Place = request.getfixturevalue(kind)
    first = place.install()
    assert any(line.startswith("wrote ") for line in first)
    before, place.host.lingering = place.tree(), True
    second = place.install()
    assert place.tree() == before
    assert [line for line in second if not line.startswith("kept ")] == []


def test_units_run_the_scripts_of_this_environment(system: Place) -> None:
    system.install()
    assert "ExecStart=/opt/v/bin/ocg-agent\n" in (system.layout.units / "ocg-agent.service").read_text()
    assert (system.layout.units / "ocg-.service.d/10-system.conf").exists()
    assert (system.layout.units / "ocg-embedding.socket").exists()


def test_a_users_manager_gets_nothing_that_only_the_systems_can_do(user: Place) -> None:
    user.install()
    written = [path.name for path in user.layout.units.rglob("*") if path.is_file() and not path.is_symlink()]
    assert "ocg-embedding.socket" not in written
    assert "10-system.conf" not in written
    assert not any("sysusers" in line for line in user.host.commands)


def test_a_users_own_drop_ins_survive_install_and_uninstall(system: Place) -> None:
    mine = system.layout.units / "ocg-agent.service.d/50-mine.conf"
    mine.parent.mkdir(parents=True)
    mine.write_text("[Service]\nNice=5\n")
    system.install()
    system.uninstall()
    assert mine.read_text() == "[Service]\nNice=5\n"
    assert f"kept {mine}, which is yours" in system.lines


def test_a_unit_of_somebody_elses_is_not_overwritten(system: Place) -> None:
    theirs = system.layout.units / "ocg-agent.service"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("[Service]\nExecStart=/bin/mine\n")
    with pytest.raises(OcgError, match="not from `ocg service install`") as caught:
        system.install()
    assert caught.value.code is Code.CONFLICT
    system.uninstall()
    assert theirs.read_text() == "[Service]\nExecStart=/bin/mine\n"


def test_a_masked_unit_is_said_to_be_masked(system: Place) -> None:
    system.layout.units.mkdir(parents=True)
    (system.layout.units / "ocg-agent.service").symlink_to(os.devnull)
    with pytest.raises(OcgError, match=r"ocg-agent\.service is masked"):
        system.install()


def test_settings_of_the_users_are_kept_for_the_services_to_read(system: Place) -> None:
    system.layout.config.mkdir(parents=True)
    system.layout.settings.write_text("# mine\nOCG_PORT=1234\n")
    assert f"kept {system.layout.settings}" in system.install()
    assert system.layout.settings.read_text() == "# mine\nOCG_PORT=1234\n"
    assert system.host.owned[system.layout.settings] == ("root", 0o640)


def test_no_settings_are_made_and_no_token(system: Place, user: Place) -> None:
    for place in (system, user):
        place.install()
        assert list(place.layout.config.iterdir()) == []
        assert not (place.layout.data / "token").exists()
    assert stat.S_IMODE(user.layout.config.stat().st_mode) == 0o700


def test_the_group_reads_the_token_by_its_name_and_no_model(system: Place) -> None:
    system.install()
    assert system.host.owned[system.layout.data] == ("ocg", 0o710)
    assert system.host.owned[system.layout.models] == ("ocg", 0o700)
    drop_in = (system.layout.units / "ocg-.service.d/10-system.conf").read_text()
    assert "\nStateDirectoryMode=0710\n" in drop_in


@pytest.mark.parametrize("step", [0, 1, 5, 12])
def test_a_crash_in_between_leaves_nothing_half_written(
    step: int, system: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    left, replace = step, os.replace

    def crash(*args: str) -> None:
        nonlocal left
        if not left:
            raise KeyboardInterrupt
        left -= 1
        replace(*args)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", crash)
        with pytest.raises(KeyboardInterrupt):
            system.install()
    done = {path for path in system.tree() if not path.name.startswith(".")}
    system.install()
    assert all(path in system.tree() for path in done)
    assert not [path for path in system.tree() if path.name.startswith(".") and path.suffix == ".new"]
    assert system.install() == [line for line in system.lines if line.startswith("kept ")]


def test_a_drop_in_that_is_no_longer_needed_goes(system: Place) -> None:
    drop_in = system.layout.units / "ocg-.service.d/30-install.conf"
    system.install(HOME)
    assert "BindReadOnlyPaths=/home/a/v\n" in drop_in.read_text()
    assert f"removed {drop_in}" in system.install(OPT)
    assert not drop_in.exists()


def test_a_taken_port_is_replaced_by_the_first_free_one_which_then_stays(system: Place) -> None:
    drop_in = system.layout.units / "ocg-embedding.socket.d/30-install.conf"
    system.host.taken = {50000, 50001}
    system.install()
    assert drop_in.read_text().endswith("[Socket]\nListenStream=\nListenStream=127.0.0.1:50002\n")
    system.host.taken = set()
    assert f"kept {drop_in}" in system.install()


def test_a_port_that_our_own_socket_has_is_not_taken(system: Place) -> None:
    system.host.taken, system.host.active = {50000}, {"ocg-embedding.socket"}
    system.install()
    assert not (system.layout.units / "ocg-embedding.socket.d/30-install.conf").exists()


def test_no_free_port_at_all_is_said(system: Place) -> None:
    system.host.taken = set(range(50000, 60001))
    with pytest.raises(OcgError, match="every port from 50000 to 60000"):
        system.install()


def test_a_distributions_package_is_left_to_itself(system: Place) -> None:
    system.layout.packaged[0].mkdir(parents=True)
    (system.layout.packaged[0] / "ocg-agent.service").touch()
    with pytest.raises(OcgError, match="a package of your distribution"):
        system.install()
    assert not system.layout.units.exists()


_HOLDS = """
import sys
from pathlib import Path
from ocg.lifecycle.pidfile import PidFile
PidFile(Path(sys.argv[1]), "ocg-agent").acquire()
print("held", flush=True)
sys.stdin.read()
"""


def test_services_that_run_without_systemd_are_not_run_over(system: Place) -> None:
    system.layout.link.mkdir(parents=True)
    command = [sys.executable, "-c", _HOLDS, str(system.layout.link)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as service:
        assert service.stdout
        assert service.stdout.readline() == "held\n"
        with pytest.raises(OcgError, match="run without systemd"):
            system.install()
        assert system.host.commands == []
        service.communicate()


def test_a_file_that_anybody_may_put_into_tmp_stops_no_installation(system: Place) -> None:
    system.layout.link.mkdir(parents=True)
    (system.layout.link / "ocg-agent.pid").write_text("12\n")
    system.host.fails = ("systemd-tmpfiles",)  # which cannot replace the folder of somebody else's
    assert any(line.startswith("made no link") for line in system.install())


def test_nothing_is_enabled_that_the_services_user_cannot_run(system: Place) -> None:
    system.host.is_booted, system.host.fails = True, ("systemd-run",)
    with pytest.raises(OcgError, match="the user ocg cannot run /opt/v/bin/ocg: no") as caught:
        system.install()
    assert "/opt/v" in caught.value.hint
    assert not any(" enable " in line for line in system.host.commands)


def test_without_lingering_it_goes_on_and_says_the_command(user: Place) -> None:
    user.host.fails = ("loginctl",)
    assert "  to have it run always: sudo loginctl enable-linger alice" in user.install()
    assert any(line.startswith("enabled ocg.target") for line in user.lines)


def test_without_a_manager_of_the_users_nothing_is_written(user: Place) -> None:
    user.host.fails, user.host.manager = ("loginctl",), False
    with pytest.raises(OcgError, match="no systemd manager runs for alice"):
        user.install()
    assert not list(user.layout.units.iterdir())


def test_a_link_that_another_user_has_is_done_without(user: Place) -> None:
    user.host.fails = ("systemd-tmpfiles",)
    assert any(line.startswith("made no link") for line in user.install())
    assert not user.layout.tmpfiles.exists()
    assert not (user.layout.units / "ocg.target.d").exists()


def test_uninstall_removes_exactly_what_install_wrote(system: Place) -> None:
    before = set(system.tree())
    system.install(HOME)
    system.uninstall()
    assert set(system.tree()) == before
    assert f"kept {system.layout.data}" in system.lines
    assert not system.layout.link.is_symlink()
    assert any(line.startswith("systemctl disable ") for line in system.host.commands)


def test_purge_says_what_it_deletes_and_deletes_it(system: Place) -> None:
    system.install()
    lines = system.uninstall(purge=True)
    assert f"deleted {system.layout.data}" in lines
    assert f"deleted {system.layout.config}" in lines
    assert not system.layout.data.exists()
    assert store.path_in(MODELS, catalog.EMBEDDING_DEFAULT).exists()


def test_nothing_to_uninstall_is_said(system: Place) -> None:
    assert system.uninstall()[0].startswith("nothing of OCG's is in ")
    assert system.host.commands == []


def test_a_model_that_somebody_has_is_copied_and_checked(tmp_path: Path) -> None:
    folder, lines = tmp_path / "models", list[str]()
    folder.mkdir()
    store.path_in(folder, catalog.CHAT_DEFAULT).symlink_to(store.path_in(MODELS, catalog.CHAT_DEFAULT))
    models.bring(folder, (tmp_path / "absent", MODELS), lines.append)
    copied = store.path_in(folder, catalog.EMBEDDING_DEFAULT)
    assert f"copied {copied} from {MODELS}" in lines
    assert copied.stat().st_nlink == 1
    assert copied.stat().st_ino != store.path_in(MODELS, catalog.EMBEDDING_DEFAULT).stat().st_ino


def test_a_model_that_a_package_brought_is_kept(tmp_path: Path) -> None:
    lines = list[str]()
    store.SHARED.symlink_to(MODELS)
    models.bring(tmp_path / "models", (), lines.append)
    assert lines == [f"kept {store.path_in(store.SHARED, name)}" for name in catalog.DEFAULTS]
    assert not (tmp_path / "models").exists()


def test_a_model_that_is_not_the_right_one_is_not_copied(tmp_path: Path) -> None:
    known = catalog.find(catalog.EMBEDDING_DEFAULT)
    wrong, lines = tmp_path / "wrong", list[str]()
    wrong.mkdir()
    data = bytearray(store.path_in(MODELS, known.name).read_bytes())
    data[-1] ^= 1
    store.path_in(wrong, known.name).write_bytes(data)
    folder = tmp_path / "models"
    assert not models._copied(folder, folder, known.name, (wrong,), lines.append)
    assert not store.path_in(folder, known.name).exists()
    assert lines[0].startswith("did not copy ")


def test_show_tells_units_drop_ins_and_places(system: Place) -> None:
    assert not overview.look(system.layout, system.host).is_installed
    system.host.taken = {50000}
    system.install()
    found = overview.look(system.layout, system.host)
    assert found.is_installed
    assert found.embedding_socket == "127.0.0.1:50001"
    assert json.loads(json.dumps(asdict(found)))["config"] == str(system.layout.settings)
    text = as_text(found)
    assert "ocg-agent.service" in text
    assert f"  + {system.layout.units}/ocg-embedding.socket.d/30-install.conf" in text
