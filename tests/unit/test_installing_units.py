"""Units for a checkout or a virtual environment: any path is read back by systemd, and what is hidden is shown."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocg.errors import OcgError
from ocg.lifecycle.watchdog import HUNG_MESSAGE_ID
from ocg.managers import shipped
from ocg.managers.alert.failure import MESSAGE_ID
from ocg.managers.install import unitfile
from ocg.managers.install.program import Program, trail

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize(
    ("path", "written"),
    [
        ("/opt/ocg/bin", "/opt/ocg/bin"),
        ("/home/al ice/bin", '"/home/al ice/bin"'),
        ("/home/100%n/bin", '"/home/100%%n/bin"'),
        ("/srv/a:b", '"/srv/a:b"'),
        ("/srv/a;b #c", '"/srv/a;b #c"'),
        ("/home/漢", '"/home/漢"'),
    ],
)
def test_a_path_is_written_so_that_systemd_reads_the_same(path: str, written: str) -> None:
    assert unitfile.quoted(Path(path)) == written


@pytest.mark.parametrize("path", ['/srv/a"b', "/srv/a'b", "/srv/a\\b", "/srv/a\nb", "/srv/a\x1bb"])
def test_a_path_that_systemd_executes_nothing_of_is_refused(path: str) -> None:
    with pytest.raises(OcgError, match="systemd runs no program"):
        unitfile.quoted(Path(path))


@given(st.text(st.characters(exclude_characters="\0"), min_size=1))
def test_a_written_path_is_one_word_without_a_specifier(name: str) -> None:
    try:
        written = unitfile.quoted(Path("/srv") / name)
    except OcgError:
        return
    assert not re.search(r"(?<!%)(%%)*%(?!%)", written)
    assert "\n" not in written
    assert re.fullmatch(r'"[^"]*"|[^\s"]+', written)


def test_every_program_of_ours_is_replaced_and_no_other() -> None:
    other = "ExecReload=/bin/kill -HUP $MAINPID\n# /usr/bin/ocg\n"
    text = f"ExecStart=/usr/bin/ocg-agent\nExecStartPre=-/usr/bin/ocg alert %i\n{other}"
    wanted = f'ExecStart="/v e/bin/ocg-agent"\nExecStartPre=-"/v e/bin/ocg" alert %i\n{other}'
    assert unitfile.rendered(text, Path("/v e/bin")) == wanted


def test_no_shipped_unit_keeps_a_path_of_the_distributions_package() -> None:
    for path in shipped.units().rglob("*.*"):
        if path.is_file():
            commands = re.findall(r"^Exec.*", unitfile.rendered(path.read_text(), Path("/opt/v/bin")), re.MULTILINE)
            assert not [line for line in commands if "/usr/bin/ocg" in line], path


def test_links_on_the_way_are_followed_to_the_end(tmp_path: Path) -> None:
    (tmp_path / "real/bin").mkdir(parents=True)
    (tmp_path / "real/bin/python3").touch()
    (tmp_path / "real/bin/python").symlink_to("python3")
    (tmp_path / "alias").symlink_to("real")
    assert trail(tmp_path / "alias/bin/python") == (
        tmp_path / "alias/bin/python",
        tmp_path / "real/bin/python",
        tmp_path / "real/bin/python3",
    )


def test_links_in_a_ring_end(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert len(trail(tmp_path / "a")) < 100


def test_what_the_cage_hides_is_shown_and_nothing_else() -> None:
    folders = (Path("/home/al ice/v"), Path("/root/.pyenv/3.11"), Path("/home/al ice/v/lib/ocg"), Path("/usr"))
    program = Program(Path("/home/al ice/v/bin"), Path("/home/al ice/v/bin/python"), folders)
    lines = [line for line in program.drop_in().splitlines() if not line.startswith("#")]
    assert lines == [
        "[Service]",
        "ProtectHome=tmpfs",
        'BindReadOnlyPaths="/home/al ice/v"',
        "BindReadOnlyPaths=/root/.pyenv/3.11",
    ]


def test_below_tmp_the_homes_stay_hidden() -> None:
    program = Program(Path("/tmp/v/bin"), Path("/tmp/v/bin/python"), (Path("/tmp/v"), Path("/usr")))
    assert "ProtectHome" not in program.drop_in().partition("[Service]")[2]
    assert "BindReadOnlyPaths=/tmp/v\n" in program.drop_in()


def test_where_nothing_is_hidden_the_cage_stays_as_shipped() -> None:
    program = Program(Path("/opt/v/bin"), Path("/opt/v/bin/python"), (Path("/opt/v"), Path("/usr")))
    assert program.drop_in() == ""


def test_polkit_lets_the_group_at_exactly_our_units() -> None:
    text = (shipped.system_files() / "50-ocg.rules").read_text()
    named = set(re.findall(r'"(ocg[\w-]*\.(?:service|socket|target))"', text))
    units = {path.name for path in shipped.units().rglob("ocg*") if path.is_file()}
    inner = {"ocg-embedding.target", "ocg-agent.target"}  # and what others start, an instance each time
    assert named == {name for name in units if not name.endswith((".conf", "@.service"))} - inner
    verbs = re.search(r"verbs = \[(.*?)\]", text, re.DOTALL)
    assert verbs is not None
    assert set(re.findall(r'"([\w-]+)"', verbs[1])) == {
        "start", "stop", "restart", "try-restart", "reload", "reload-or-restart",
        "reload-or-try-restart", "reset-failed", "kill",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["ocg.catalog", "ocg.zh_CN.catalog"])
def test_the_journals_catalog_explains_every_message_id(name: str) -> None:
    text = (shipped.system_files() / name).read_text()
    assert re.findall(r"^-- (\w+)$", text, re.MULTILINE) == [MESSAGE_ID, HUNG_MESSAGE_ID]
    assert len(re.findall(r"^Subject: .+\nDefined-By: OCG\n\n", text, re.MULTILINE)) == 2


def test_the_wheel_is_told_to_hold_what_is_installed_from_it() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    for folder, name in ((shipped.units(), "units"), (shipped.system_files(), "systemd")):
        assert f'"{folder.relative_to(ROOT)}" = "ocg/shipped/{name}"' in text
