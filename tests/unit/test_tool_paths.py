"""Whatever path a tool is given, nothing outside the workspace is reached, and nothing is waited for."""

import ctypes
import itertools
import os
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from ocg.errors import Code, OcgError
from ocg.protocol.tooling import USERS_OWN, ApplyPatch, Edit, Glob, Grep, Ls, Read, Request, Write
from ocg.tool import beneath
from ocg.tool.operations import do
from ocg.tool.workspace import Workspace, here

_AT_FDCWD, _EXCHANGE = -100, 2  # fcntl.h, linux/fs.h
_SECRET = "the user's own secret"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace beside a secret, with links of all kinds."""
    folder = tmp_path / "workspace"
    (folder / "notes").mkdir(parents=True)
    (folder / "notes/a.md").write_text("alpha\n")
    (tmp_path / "secret").write_text(f"{_SECRET}\n")
    (tmp_path / "workspace-too").mkdir()
    (tmp_path / "workspace-too/secret").write_text(f"{_SECRET}\n")
    links: dict[str, str | Path] = {
        "absolute": tmp_path / "secret",
        "upwards": "../secret",
        "folder": "..",
        "chain": "upwards",
        "notes/deep": "../../secret",
        "circle": "circle",
        "process": "/proc/self/environ",
        "magic": "/proc/self/root",
    }
    for link, to in links.items():
        (folder / link).symlink_to(to)
    (folder / "inside").symlink_to("notes/a.md")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def workspace(root: Path) -> Iterator[Workspace]:
    """It, opened."""
    with here() as found:
        yield found


_LED_OUT = (
    "absolute",
    "upwards",
    "folder/secret",
    "chain",
    "notes/deep",
    "circle",
    "process",
    "magic/etc/passwd",
    "../secret",
    "notes/../../secret",
    "../workspace-too/secret",
    "{root}/../secret",
    "{root}-too/secret",
    "{root}/folder/secret",
    "/etc/passwd",
    "/proc/self/environ",
    "/dev/stdin",
    "~/secret",
    "notes\0/../../secret",
    "x/" * 400,
    "",
)


def _asking_for(path: str) -> tuple[Request, ...]:
    return (
        Read(path),
        Write(path, "x"),
        Edit(path, _SECRET, "x"),
        ApplyPatch(f"*** Begin Patch\n*** Delete File: {path or ' '}x\n*** End Patch"),
        ApplyPatch(f"*** Begin Patch\n*** Update File: notes/a.md\n*** Move to: {path}/x\n*** End Patch"),
        Grep("secret", path=path),
        Ls(path),
    )


@pytest.mark.parametrize("path", _LED_OUT)
@pytest.mark.parametrize("opens", [beneath.open_beneath, beneath.open_by_steps], ids=["openat2", "by-steps"])
def test_no_path_leads_out(
    root: Path,
    workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    opens: Callable[[int, str, int], int],
) -> None:
    monkeypatch.setattr("ocg.tool.workspace.open_beneath", opens)
    before = _outside(root)
    for request in _asking_for(path.format(root=root)):
        text = ""
        with suppress(OcgError):
            text = do(workspace, request)
        assert _SECRET not in text, request
    assert _outside(root) == before


def _outside(root: Path) -> dict[str, str]:
    """Read what lies beside the workspace, which may be deeper than Python walks."""
    found = [path for place in root.parent.iterdir() if place != root for path in (place, *place.rglob("*"))]
    return {str(path): path.read_text() for path in found if path.is_file()}


def test_a_way_out_is_named_as_one(workspace: Workspace) -> None:
    with pytest.raises(OcgError, match="upwards leads out of the workspace") as raised:
        do(workspace, Read("upwards"))
    assert raised.value.code is Code.FORBIDDEN
    with pytest.raises(OcgError, match="upwards leads out of the workspace"):
        do(workspace, Write("upwards", "x"))
    with pytest.raises(OcgError, match=r"absolute is a link: .*secret is not in the workspace"):
        do(workspace, Write("absolute", "x"))


def test_who_looks_through_folders_follows_no_link(workspace: Workspace) -> None:
    assert do(workspace, Grep("secret")) == "nothing fits secret"
    assert do(workspace, Glob("secret")) == "no file fits secret"
    assert _SECRET not in do(workspace, Ls())


def test_a_folder_that_turns_into_a_link_meanwhile_leads_nowhere(root: Path, workspace: Workspace) -> None:
    (root.parent / "secrets").mkdir()
    (root.parent / "secrets/f").write_text(f"{_SECRET}\n")
    (root / "here").mkdir()
    (root / "here/f").write_text("harmless\n")
    (root / "link").symlink_to(root.parent / "secrets")
    before, is_over = _outside(root), threading.Event()
    libc = ctypes.CDLL(None)

    def turn() -> None:
        while not is_over.is_set():
            assert libc.renameat2(_AT_FDCWD, b"here", _AT_FDCWD, b"link", _EXCHANGE) == 0

    turning = threading.Thread(target=turn)
    turning.start()
    try:
        told: set[str] = set()
        rounds = itertools.count()
        while next(rounds) < 150 or not any("leads out" in one for one in told):
            told |= {_told(workspace, one) for one in (Read("here/f"), Write("here/f", "x"), Grep("the"))}
    finally:
        is_over.set()
        turning.join()
    assert not any(_SECRET in one for one in told), told
    assert _outside(root) == before


def _told(workspace: Workspace, request: Request) -> str:
    try:
        return do(workspace, request)
    except OcgError as error:
        return str(error)


def test_a_link_within_the_workspace_is_followed_and_stays_one(root: Path, workspace: Workspace) -> None:
    assert "alpha" in do(workspace, Read("inside"))
    do(workspace, Edit("inside", "alpha", "beta"))
    assert (root / "inside").is_symlink()
    assert (root / "notes/a.md").read_text() == "beta\n"


def test_an_absolute_path_into_the_workspace_is_one(root: Path, workspace: Workspace) -> None:
    assert "alpha" in do(workspace, Read(str(root / "notes/a.md")))
    assert do(workspace, Glob(f"{root}/notes/*")) == "notes/deep\nnotes/a.md"
    do(workspace, Write(f"{root}/new/deep/b.md", "b"))
    assert (root / "new/deep/b.md").read_text() == "b"


def test_a_pipe_or_a_socket_is_no_file_and_is_not_waited_for(root: Path, workspace: Workspace) -> None:
    os.mkfifo(root / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
        for name in ("pipe", "socket"):
            for request in (Read(name), Write(name, "x"), Edit(name, "a", "b"), Grep("a", path=name)):
                with pytest.raises(OcgError, match="is no regular file"):
                    do(workspace, request)
        assert "alpha" in do(workspace, Grep("alpha"))


@pytest.mark.parametrize(
    "path", ["p/.git/config", "p/.git/hooks/pre-commit", "p/link/config", "p/.git", "q/.GIT/x", ".npmrc"]
)
def test_what_git_runs_is_not_written(root: Path, workspace: Workspace, path: str) -> None:
    """Else `git fetch`, which a rule may allow with the network, runs whatever a page has talked the model into."""
    (root / "p/.git").mkdir(parents=True)
    (root / "p/.git/config").write_text("old\n")
    (root / "p/link").symlink_to(".git")
    for request in (
        Write(path, "x"),
        ApplyPatch("*** Begin Patch\n*** Add File: p/link/x\n+x\n*** End Patch"),
        ApplyPatch(f"*** Begin Patch\n*** Update File: notes/a.md\n*** Move to: {path}\n*** End Patch"),
        ApplyPatch(f"*** Begin Patch\n*** Delete File: {path}\n*** End Patch"),
    ):
        with pytest.raises(OcgError):
            do(workspace, request)
    with pytest.raises(OcgError, match="git's or npm's own"):
        do(workspace, Edit("p/.git/config", "old", "new"))
    assert [one.name for one in (root / "p/.git").rglob("*") if one.is_file()] == ["config"]
    assert (root / "p/.git/config").read_text() == "old\n"
    do(workspace, Write("p/.gitignore", "x"))


@pytest.mark.parametrize("name", USERS_OWN)
def test_the_users_own_files_are_read_and_not_written(root: Path, workspace: Workspace, name: str) -> None:
    (root / "way").symlink_to(name)
    update = f"*** Begin Patch\n*** Update File: {name}\n@@\n-mine\n+yours\n*** End Patch"
    delete = f"*** Begin Patch\n*** Delete File: ./{name}\n*** End Patch"
    move = f"*** Begin Patch\n*** Update File: notes/a.md\n*** Move to: {name}\n*** End Patch"
    for is_there in (False, True):
        if is_there:
            (root / name).write_text("mine\n")
            assert "mine" in do(workspace, Read(name))
        for path in (name, f"notes/../{name}", "way", str(root / name)):
            with pytest.raises(OcgError, match="is the user's to change, not yours"):
                do(workspace, Write(path, "yours\n"))
        for text in (update, delete, move):
            with pytest.raises(OcgError):
                do(workspace, ApplyPatch(text))
    assert (root / name).read_text() == "mine\n"
    assert (root / "notes/a.md").exists()
    do(workspace, Write(f"notes/{name}", "this one is nobody's"))


def test_a_file_keeps_its_mode_and_a_new_one_is_shared_with_the_group(root: Path, workspace: Workspace) -> None:
    (root / "run.sh").write_text("echo a\n")
    (root / "run.sh").chmod(0o750)
    before = os.umask(0o007)
    try:
        do(workspace, Edit("run.sh", "a", "b"))
        do(workspace, Write("new/file", "x"))
    finally:
        os.umask(before)
    assert (root / "run.sh").stat().st_mode & 0o777 == 0o750
    assert (root / "new/file").stat().st_mode & 0o777 == 0o660
    assert (root / "new").stat().st_mode & 0o777 == 0o770


def test_what_is_written_is_on_the_disk_before_it_is_in_its_place(
    root: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    sync, replace = os.fsync, os.replace

    def syncing(fd: int) -> None:
        done.append(str(Path(f"/proc/self/fd/{fd}").readlink()))
        sync(fd)

    def replacing(source: str, target: str, **folders: int) -> None:
        done.append("replace")
        replace(source, target, **folders)

    monkeypatch.setattr(os, "fsync", syncing)
    monkeypatch.setattr(os, "replace", replacing)
    do(workspace, Write("new/a.md", "x"))
    made, file, replaced, folder = done
    assert made == str(root)
    assert re.fullmatch(rf"{root}/new/\.ocg-\w+", file)
    assert (replaced, folder) == ("replace", str(root / "new"))


def test_a_write_that_fails_leaves_what_was_there_and_nothing_beside_it(
    root: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OcgError, match="the disk is full") as raised:
        do(workspace, Write("notes/a.md", "x"))
    assert raised.value.code is Code.DISK_FULL
    assert sorted(path.name for path in (root / "notes").iterdir()) == ["a.md", "deep"]
    assert (root / "notes/a.md").read_text() == "alpha\n"
