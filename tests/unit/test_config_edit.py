"""One setting written into env.config: nothing else changes, whatever happens meanwhile."""

import os
import stat
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ocg.config import edit, envfile
from ocg.errors import Code, OcgError

_LINES = st.sampled_from(
    ["# a comment", "A=1", "  K = old  ", "K='one\ntwo'", "; K=no", "K=a \\\nb", "", "B=\"x\"'y'z", "K=", "\t"]
)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "K=new\n"),
        ("A=1", "A=1\nK=new\n"),
        ("# K=old\nA=1\n", "# K=old\nA=1\nK=new\n"),
        ("A=1\nK=old\nB=2\n", "A=1\nK=new\nB=2\n"),
        ("K=first\n# between\n  K = 'la\nst'  \nB=2\n", "K=first\n# between\n  K=new\nB=2\n"),
        ("K=one \\\n two\nB=2", "K=new\nB=2"),
    ],
)
def test_the_line_that_counts_is_rewritten_and_all_others_stay(before: str, after: str) -> None:
    assert edit.changed(before, "K", "new", name="x") == after


@given(st.lists(_LINES, max_size=8), st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_whatever_stands_there_only_that_key_changes(lines: list[str], value: str) -> None:
    before = "\n".join(lines)
    after = edit.changed(before, "K", value, name="x")
    assert envfile.parse(after, name="x") == envfile.parse(before, name="x") | {"K": value}
    comments = [line for line in before.split("\n") if line.startswith(("#", ";"))]
    assume("\n" not in value)
    assert [line for line in after.split("\n") if line.startswith(("#", ";"))] == comments


def test_an_end_that_would_swallow_the_line_is_refused() -> None:
    with pytest.raises(OcgError, match="unfinished line"):
        edit.changed("A=1\n# goes on \\\n", "K", "v", name="x")


def test_the_file_keeps_its_mode_and_its_link_and_is_whole_at_any_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, link = tmp_path / "real", tmp_path / "env.config"
    real.write_text("K=old\n")
    real.chmod(0o604)
    link.symlink_to(real)
    edit.put(link, "K", "new")
    assert (link.is_symlink(), real.read_text(), stat.S_IMODE(real.stat().st_mode)) == (True, "K=new\n", 0o604)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OcgError, match="No space left on device") as raised:
        edit.put(link, "K", "newer")
    assert "K=newer" in raised.value.hint
    assert (real.read_text(), sorted(path.name for path in tmp_path.iterdir())) == ("K=new\n", ["env.config", "real"])


def test_a_new_file_is_its_groups_to_read(tmp_path: Path) -> None:
    file = tmp_path / "ocg" / "env.config"
    edit.put(file, "K", "v", group=os.getgid())
    status = file.stat()
    assert (file.read_text(), stat.S_IMODE(status.st_mode), status.st_gid) == ("K=v\n", 0o640, os.getgid())


def test_a_file_with_a_mistake_is_not_touched(tmp_path: Path) -> None:
    file = tmp_path / "env.config"
    for text in (b"what is this", b"\xff\xfe"):
        file.write_bytes(text)
        with pytest.raises(OcgError) as raised:
            edit.put(file, "K", "v")
        assert raised.value.code is Code.CONFIG_INVALID
        assert file.read_bytes() == text


def test_who_may_not_write_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(OcgError, match="you may not write") as raised:
        edit.put(tmp_path / "env.config", "K", "v")
    assert (raised.value.code, raised.value.hint) == (Code.FORBIDDEN, "use sudo")


def test_a_link_of_somebody_else_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, link = tmp_path / "real", tmp_path / "env.config"
    real.write_text("A=1\n")
    link.symlink_to(real)
    os.chown(link, 12345, -1, follow_symlinks=False)
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    with pytest.raises(OcgError) as caught:
        edit.put(link, "K", "v")
    assert caught.value.code is Code.UNSAFE_PATH
    assert real.read_text() == "A=1\n"


@pytest.mark.parametrize("kind", ["fifo", "device", "folder", "large"])
def test_what_is_no_file_is_left_alone(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "env.config"
    match kind:
        case "fifo":
            os.mkfifo(file)
        case "device":
            os.mknod(file, stat.S_IFCHR | 0o600, os.makedev(1, 3))
        case "folder":
            file.mkdir()
        case "large":
            file.write_bytes(b"#" * (2 << 20))
    before = file.lstat()
    with pytest.raises(OcgError) as caught:
        edit.put(file, "K", "v")
    assert caught.value.code is Code.UNSAFE_PATH
    assert (file.lstat().st_ino, file.lstat().st_mode) == (before.st_ino, before.st_mode)


def test_ends_of_lines_stay_as_they_are(tmp_path: Path) -> None:
    file = tmp_path / "env.config"
    file.write_bytes(b"A=1\r\n# mine\r\nK=old\r\n")
    edit.put(file, "K", "new")
    assert file.read_bytes() == b"A=1\r\n# mine\r\nK=new\r\n"
