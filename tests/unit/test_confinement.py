"""What confines tools where no systemd does: what is chosen, what a cage shows, and how it ends."""

import asyncio
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import aclosing, suppress
from pathlib import Path

import pytest

from ocg.agent import confinement as confinements
from ocg.agent.confinement import Confinement
from ocg.agent.confinement.bubblewrap import Bubblewrap
from ocg.agent.confinement.programs import Command, Programs
from ocg.agent.workspace import FILES, Workspace
from ocg.config import AgentSettings
from ocg.errors import Code, OcgError
from ocg.protocol import frames
from ocg.protocol.tooling import Cage, Grep, Run
from ocg.tool import guard, limits, quickjson

# The services' own limit for a call is not of interest here; this one is for a machine with much else to do.
_CALL_S = 60.0


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "data" / "workspace"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def bubblewrap(workspace: Path) -> Confinement:
    return Programs("bubblewrap", Bubblewrap(workspace).command)


def _settings(tmp_path: Path, **other: Path | str) -> AgentSettings:
    return AgentSettings(data_dir=tmp_path / "data", runtime_dir=tmp_path / "run", **other)  # type: ignore[arg-type]


async def _shell(confinement: Confinement, script: str, cage: Cage = Cage.RW, *, shows: tuple[str, ...] = ()) -> str:
    """Run a script and return what it wrote."""
    said = b""
    asked = Run(argv=("sh", "-c", script), timeout_s=_CALL_S, shows=shows)
    async with confinement.open(cage, asked) as confined:
        async for kind, data in confined.frames():
            said += data if kind == frames.OUTPUT else b""
    return said.decode()


def _processes(mark: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            found += [path.parent.name] if mark.encode() in path.read_bytes() else []
    return found


def _cpu_ticks(pids: list[str]) -> int:
    found = 0
    for pid in pids:
        with suppress(OSError):
            found += sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]))
    return found


def test_bubblewrap_confines_where_nothing_else_is_said(tmp_path: Path) -> None:
    """A tool runs in a cage unless somebody asks for none, which is warned of."""
    assert confinements.choose(_settings(tmp_path)).name == "bubblewrap"


def test_going_without_is_a_choice_that_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The log says what OCG_TOOL_SANDBOX=none means."""
    assert confinements.choose(_settings(tmp_path, tool_sandbox="none")).name == "unconfined"
    assert "nothing confines tools" in caplog.text


async def test_without_bubblewrap_no_tool_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to install."""
    monkeypatch.setattr(shutil, "which", {}.get)
    with pytest.raises(OcgError, match="there is no bubblewrap") as caught:
        await _shell(confinements.choose(_settings(tmp_path)), "true")
    assert caught.value.code is Code.UNAVAILABLE
    assert "install the package bubblewrap" in caught.value.hint


async def test_a_workspace_that_holds_the_agents_data_is_no_cage(tmp_path: Path) -> None:
    """A home as the workspace would give tools the database and the keys."""
    confinement = confinements.choose(_settings(tmp_path, workspace=tmp_path))
    with pytest.raises(OcgError, match="holds OCG's own data"):
        await _shell(confinement, "true")


@pytest.mark.parametrize("is_link", [False, True])
async def test_a_workspace_in_which_settings_are_looked_for_is_no_cage(tmp_path: Path, *, is_link: bool) -> None:
    """Keys stand in that file, and OCG_TOOL_SANDBOX=none could be written into it; a link could be replaced."""
    workspace = tmp_path / "project"
    workspace.mkdir()
    if is_link:
        (workspace / "env.config").symlink_to(tmp_path / "mine")
    confinement = confinements.choose(_settings(tmp_path, workspace=workspace, config_file=workspace / "env.config"))
    with pytest.raises(OcgError, match=r"is where env.config is looked for"):
        await _shell(confinement, "true")


async def test_under_systemd_a_workspace_that_the_units_do_not_show_is_refused(tmp_path: Path) -> None:
    """Or tools would work in another folder than the one that the user sees."""
    confinement = confinements.choose(_settings(tmp_path, tool_sandbox="systemd"))
    with pytest.raises(OcgError, match="the units show tools /var/lib/ocg/workspace") as caught:
        await _shell(confinement, "true")
    assert "mount your folder" in caught.value.hint


async def test_what_bubblewrap_complains_of_is_told(workspace: Path) -> None:
    """Where the kernel gives no namespaces to users, the error is bubblewrap's own, with where to read on."""
    # In there nobody can make one more.
    forbidden = ["bwrap", "--dev-bind", "/", "/", "--unshare-user", "--disable-userns"]

    async def command(cage: Cage, shows: Sequence[str]) -> Command:
        inner = await Bubblewrap(workspace).command(cage, shows)
        return Command([*forbidden, *inner.words], inner.descriptors)

    with pytest.raises(OcgError, match="bwrap: ") as caught:
        await _shell(Programs("bubblewrap", command), "true")
    assert "docs/confinement.md" in caught.value.hint


async def test_whoever_follows_a_tool_hears_why_it_is_gone(bubblewrap: Confinement) -> None:
    """A server for MCP is followed for as long as it runs: what is wrong with its `read` is told then."""
    asked = Run(argv=("true",), shows=("/nonexistent/server",))
    async with bubblewrap.open(Cage.EXT, asked) as confined:
        with pytest.raises(OcgError, match="Can't find source path /nonexistent/server"):
            await anext(confined.frames())


async def test_a_cage_shows_the_workspace_at_its_place_and_an_empty_home(
    bubblewrap: Confinement, workspace: Path
) -> None:
    """Programs find what they need, and nothing of anybody's."""
    script = "pwd; ls -A /home /root /srv /mnt 2>/dev/null; echo $HOME; env | cut -d= -f1 | sort | tr '\\n' ' '"
    said = (await _shell(bubblewrap, script)).splitlines()
    assert said[0] == str(workspace)
    assert said[-2] == "/tmp"
    names = {name for name in said[-1].split() if not name.startswith("GIT_CONFIG_")}
    assert names <= {"HOME", "LANG", "PATH", "PWD", "TERM", "OLDPWD", "SHLVL", "_"}
    assert "shadow" not in await _shell(bubblewrap, "find /etc -name 'shadow*' -o -name private")


async def test_git_takes_no_folder_for_a_repository_that_is_not_called_one(
    bubblewrap: Confinement, workspace: Path
) -> None:
    """Any tool may write such files, and their configuration says what git runs."""
    for name in ("objects", "refs"):
        (workspace / "x" / name).mkdir(parents=True)
    (workspace / "x/HEAD").write_text("ref: refs/heads/main\n")
    settings = 'bare = false\nworktree = ..\nfsmonitor = "echo won >&2; false"\n'
    (workspace / "x/config").write_text(f"[core]\nrepositoryformatversion = 0\n{settings}")
    said = await _shell(bubblewrap, "cd x; git status 2>&1 || true")
    assert "won" not in said
    assert "bare" in said


async def test_what_is_written_is_as_private_as_what_the_user_writes(bubblewrap: Confinement, workspace: Path) -> None:
    """The user's primary group may be everybody's."""
    before = os.umask(0o077)
    try:
        await _shell(bubblewrap, "touch x")
    finally:
        os.umask(before)
    assert (workspace / "x").stat().st_mode & 0o777 == 0o600


async def test_programs_work_in_a_cage(bubblewrap: Confinement) -> None:
    """Names, time zones, certificates and temporary files are there, and git works."""
    script = (
        "set -e; id -un; date +%Z; awk 'BEGIN { print 6 * 7 }'; echo x > /tmp/x; echo x > /var/tmp/y; git init -q .;"
        " git -c user.name=a -c user.email=a@b commit -q --allow-empty -m one; git log --oneline | wc -l"
    )
    said = (await _shell(bubblewrap, script)).split()
    assert said[-1] == "1", said
    assert "42" in said


async def test_programs_of_ocg_cannot_be_changed_from_a_workspace_they_lie_in(
    bubblewrap: Confinement, workspace: Path
) -> None:
    """What is shown beside the workspace is shown read only, even within."""
    inner = workspace / "programs"
    inner.mkdir()
    (inner / "one").write_text("mine")
    said = await _shell(bubblewrap, "cat programs/one; echo evil > programs/one; rm -rf programs", shows=(str(inner),))
    assert said.startswith("mine")
    assert (inner / "one").read_text() == "mine"


async def test_what_is_ocgs_stays_hidden_whatever_a_call_shows(tmp_path: Path, workspace: Path) -> None:
    """A server for MCP that may read the home does not read the agent's database."""
    (tmp_path / "data/agent.db").write_text("secret")
    (tmp_path / "notes").write_text("shown")
    confinement = confinements.choose(_settings(tmp_path))
    script = f"cat {tmp_path}/notes; cat {tmp_path}/data/agent.db; ls {tmp_path}/data; echo x > here"
    said = await _shell(confinement, script, Cage.EXT, shows=(str(tmp_path),))
    assert said == f"showncat: {tmp_path}/data/agent.db: No such file or directory\nworkspace\n"
    assert (workspace / "here").read_text() == "x\n"


async def test_what_a_user_has_not_written_no_tool_writes(bubblewrap: Confinement, workspace: Path) -> None:
    """A file that says how the agent is to be must not come from what a model was told."""
    (workspace / "SOUL.md").write_text("mine")
    before = (workspace / "SOUL.md").stat()
    await _shell(bubblewrap, f"for one in {' '.join(FILES)}; do echo evil >> $one; rm $one; mv $one x; done; true")
    assert (workspace / "SOUL.md").stat() == before
    texts = await Workspace(workspace).texts()
    assert (texts.soul, texts.instructions, texts.user) == ("mine", "When the answer needs a tool, use it.", "")


async def test_a_link_in_place_of_a_users_file_is_refused(bubblewrap: Confinement, workspace: Path) -> None:
    """A tool could put another in its place."""
    (workspace / "mine.md").write_text("mine")
    (workspace / "SOUL.md").symlink_to("mine.md")
    with pytest.raises(OcgError, match=r"SOUL\.md is a link"):
        await _shell(bubblewrap, "true")
    assert await _shell(bubblewrap, "cat SOUL.md", Cage.RO) == "mine"


async def test_whoever_hangs_up_ends_all_that_runs(bubblewrap: Confinement) -> None:
    """When the block is left, no process of the call is there any more."""
    mark = f"900.{secrets.randbelow(10**9):09}"
    script = f"for one in $(seq 200); do setsid sleep {mark} & done; echo on; wait"
    async with (
        bubblewrap.open(Cage.RW, Run(argv=("sh", "-c", script))) as confined,
        aclosing(confined.frames()) as coming,
    ):
        assert await anext(coming) == (frames.OUTPUT, b"on\n")
        assert _processes(mark)
    assert not _processes(mark)


async def test_a_tool_that_is_busy_ends_when_nobody_waits_for_it(
    bubblewrap: Confinement, workspace: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A search that would take for ever is no reason to wait: its cage ends by itself."""
    (workspace / "file").write_text("a" * 64)
    async with bubblewrap.open(Cage.RO, Grep("(a|aa)+$b")):
        while _cpu_ticks(_processes(str(workspace))) < 50:  # noqa: ASYNC110 - no event tells of it: by then it searches
            await asyncio.sleep(0.01)
    assert not _processes(str(workspace))
    assert not caplog.records


def test_the_guard_says_what_there_is_too_much_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no cgroup counts, it does: tasks, memory, what is left of the machine's, and the disk."""
    monkeypatch.setattr(limits, "TASKS", 1 << 30)
    monkeypatch.setattr(limits, "MEMORY_BYTES", 1 << 50)
    assert guard._excess(0) == ""
    assert "workspace's disk" in guard._excess(1 << 60)
    with monkeypatch.context() as patched:
        patched.setattr(guard, "_SPARE_MEMORY_PART", 1)
        assert "no memory left" in guard._excess(0)
    with monkeypatch.context() as patched:
        patched.setattr(limits, "MEMORY_BYTES", 1 << 20)
        assert "of memory" in guard._excess(0)
    monkeypatch.setattr(limits, "TASKS", 1)
    assert "processes and threads" in guard._excess(0)


def test_memory_that_processes_share_counts_once() -> None:
    """A server with many children is not ended for what they have in common."""
    mebibytes = 64
    script = (
        f"import os, sys; held = b'x' * ({mebibytes} << 20); r, w = os.pipe()\n"
        "for _ in range(4):\n"
        "    if os.fork() == 0: os.close(w); os.read(r, 1); os._exit(0)\n"
        "print('up', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        pids = [str(parent.pid), *Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()]
        resident = sum(guard._stat(pid)[1] for pid in pids)
        shared = sum(guard._share_bytes(pid) for pid in pids)
        parent.communicate()
    assert resident > 4 * mebibytes << 20
    assert mebibytes << 20 < shared < 2 * mebibytes << 20


def test_what_the_agent_writes_is_read_without_json() -> None:
    """Texts come out as they went in, whatever is in them."""
    text = 'a "b" \\ \n \0 é 😀 \u2028'
    assert quickjson.loads(f'{{"one":[1,2.5,null,true,{quickjson.quoted(text)}]}}'.encode()) == {
        "one": [1, 2.5, None, True, text]
    }
