"""Changing files: what is not exactly meant is not changed, and a patch is applied as a whole or not at all."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from ocg.errors import OcgError
from ocg.protocol.tooling import ApplyPatch, Edit, Read, Write, patch
from ocg.tool.operations import do
from ocg.tool.workspace import Workspace, here

_CODE = "def f():\n    x = 1\n    return x\n\n\ndef g():\n    x = 1\n    return x\n"


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    """A workspace with a file."""
    (tmp_path / "a.py").write_text(_CODE)
    monkeypatch.chdir(tmp_path)
    with here() as found:
        yield found


def _names() -> list[str]:
    return sorted(path.name for path in Path().iterdir())


def _text() -> str:
    return Path("a.py").read_text()


def test_an_edit_changes_the_one_place_and_shows_it(workspace: Workspace) -> None:
    said = do(workspace, Edit("a.py", "def g():\n    x = 1", "def g():\n    x = 2\n    y = 3"))
    assert said.splitlines()[0] == "changed a.py:"
    assert "     7\t    x = 2\n     8\t    y = 3\n" in said
    assert _text() == _CODE[: _CODE.index("def g")] + "def g():\n    x = 2\n    y = 3\n    return x\n"


def test_a_text_that_stands_there_more_than_once_is_only_changed_where_all_are_meant(workspace: Workspace) -> None:
    with pytest.raises(OcgError, match=r"old_string is in a\.py 2 times: from the lines 2, 7") as raised:
        do(workspace, Edit("a.py", "x = 1", "x = 2"))
    assert "replace_all" in raised.value.hint
    assert _text() == _CODE
    assert do(workspace, Edit("a.py", "x = 1", "x = 2", replace_all=True)) == "changed a.py in 2 places"
    assert _text() == _CODE.replace("x = 1", "x = 2")


def test_a_text_that_is_not_there_is_told_with_the_nearest_that_is(workspace: Workspace) -> None:
    with pytest.raises(OcgError, match=r"old_string is not in a\.py") as raised:
        do(workspace, Edit("a.py", "def g(x):\n    y = 1", "z"))
    assert "     6\tdef g():\n     7\t    x = 1\n" in raised.value.message
    with pytest.raises(OcgError) as raised:
        do(workspace, Edit("a.py", "     2\t    x = 1\n     3\t    return x", "z"))
    assert "leave out the numbers" in raised.value.hint
    with pytest.raises(OcgError, match="are the same"):
        do(workspace, Edit("a.py", "x = 1", "x = 1"))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"\xef\xbb\xbfone\r\ntwo\r\n", b"\xef\xbb\xbfone\r\nTWO\r\nthree\r\n"),
        (b"one\r\ntwo\nrest\r\n", b"one\r\nTWO\nthree\nrest\r\n"),
        (b"ol\xe9\ntwo", b"ol\xe9\nTWO\nthree"),
        ("größe 😀\ntwo\u2028x\n".encode(), "größe 😀\nTWO\nthree\u2028x\n".encode()),
    ],
    ids=["bom-crlf", "mixed", "latin-1", "unicode"],
)
def test_an_edit_leaves_everything_else_of_a_file_as_it_was(workspace: Workspace, before: bytes, after: bytes) -> None:
    Path("b").write_bytes(before)
    do(workspace, Edit("b", "two", "TWO\nthree"))
    assert Path("b").read_bytes() == after
    Path("b").write_bytes(before)
    second = before.decode("utf-8", "replace").split("\n")[1].removesuffix("\r")
    do(workspace, _patch("*** Update File: b", "@@", f"-{second}", "+zwei"))
    assert Path("b").read_bytes() == before.replace(second.encode(), b"zwei")


def test_lines_that_end_in_crlf_are_found_whichever_way_the_model_writes_them(workspace: Workspace) -> None:
    Path("b").write_bytes(b"one\r\ntwo\r\nthree\r\n")
    do(workspace, Edit("b", "one\ntwo", "1\n2"))
    do(workspace, Edit("b", "2\r\nthree", "2\r\n3"))
    assert Path("b").read_bytes() == b"1\r\n2\r\n3\r\n"


def test_a_whole_file_is_written_byte_for_byte(workspace: Workspace) -> None:
    assert do(workspace, Write("new/b", "a\r\nb\n")) == "wrote the new file new/b: 2 lines"
    assert do(workspace, Write("new/b", "a\r\nb\n")) == "wrote new/b: 2 lines"
    assert Path("new/b").read_bytes() == b"a\r\nb\n"


def _patch(*lines: str) -> ApplyPatch:
    return ApplyPatch("\n".join(["*** Begin Patch", *lines, "*** End Patch"]))


def test_a_patch_changes_adds_moves_and_deletes(workspace: Workspace) -> None:
    for name in ("old", "gone"):
        Path(name).write_text("1\n2\n3\n")
    said = do(
        workspace,
        _patch(
            "*** Update File: a.py", "@@ def g():", "-    x = 1", "+    x = 2", "     return x", "*** End of File",
            "*** Add File: new/b.txt", "+hello", "+", "+there",
            "*** Update File: old", "*** Move to: moved", "@@", " 1", "-2", "+zwei",
            "*** Delete File: gone",
        ),
    )  # fmt: skip
    assert said.splitlines() == ["changed a.py", "added new/b.txt", "changed old, which is moved now", "deleted gone"]
    assert _text() == _CODE[: _CODE.index("def g")] + "def g():\n    x = 2\n    return x\n"
    assert Path("new/b.txt").read_text() == "hello\n\nthere\n"
    assert Path("moved").read_text() == "1\nzwei\n3\n"
    assert _names() == ["a.py", "moved", "new"]


@pytest.mark.parametrize(
    "last",
    [
        ("*** Update File: a.py", "@@ def h():", "-    x = 1"),
        ("*** Update File: a.py", "@@", " def f():", "-    y = 1"),
        ("*** Update File: a.py", "@@", "-    return x", "*** End of File", "@@", "-def f():"),
        ("*** Update File: not-there", "@@", "-x"),
        ("*** Delete File: not-there",),
        ("*** Add File: a.py", "+x"),
        ("*** Update File: a.py", "*** Move to: b", "@@", "-def f():"),
        ("*** Update File: ../a.py", "@@", "-x"),
        ("*** Add File: SOUL.md", "+x"),
        ("*** Delete File: USER.md",),
        ("*** Delete File: b", "*** Update File: b", "@@", "+x"),
        ("*** Add File: a.py/b", "+x"),
    ],
)
def test_a_patch_of_which_a_part_does_not_fit_changes_nothing(workspace: Workspace, last: tuple[str, ...]) -> None:
    Path("b").write_text("b\n")
    Path("USER.md").write_text("mine\n")
    with pytest.raises(OcgError):
        do(workspace, _patch("*** Update File: b", "@@", "-b", "+c", "*** Add File: c", "+c", *last))
    assert (_text(), Path("b").read_text()) == (_CODE, "b\n")
    assert _names() == ["USER.md", "a.py", "b"]


def test_lines_of_a_patch_may_differ_in_white_space_and_the_files_own_stay(workspace: Workspace) -> None:
    do(workspace, _patch("*** Update File: a.py", "@@", " def f():  ", "-  x = 1", "+    x = 2", "   return x"))
    assert _text() == _CODE.replace("x = 1", "x = 2", 1)


def test_one_file_may_stand_in_a_patch_twice(workspace: Workspace) -> None:
    one = ("*** Update File: a.py", "@@", "-    x = 1", "+    x = 2")
    do(workspace, _patch(*one, *one))
    assert _text() == _CODE.replace("x = 1", "x = 2")


def test_one_file_by_several_names_is_one_file(workspace: Workspace) -> None:
    Path("way").symlink_to("a.py")
    change = ("@@", "-    x = 1", "+    x = 2")
    names = ("a.py", "./way", f"{Path.cwd()}/./a.py")
    do(workspace, _patch(*(line for name in names[:2] for line in (f"*** Update File: {name}", *change))))
    assert _text() == _CODE.replace("x = 1", "x = 2")
    do(workspace, _patch(f"*** Update File: {names[2]}", "@@", "+# end", "*** Delete File: way"))
    assert _text().endswith("# end\n")
    assert _names() == ["a.py"]


def test_lines_that_are_only_added_come_below_their_head_or_at_the_end(workspace: Workspace) -> None:
    do(workspace, _patch("*** Update File: a.py", "@@ def g():", "+    y = 0", "@@", "+# the end"))
    assert _text() == _CODE.replace("def g():\n", "def g():\n    y = 0\n") + "# the end\n"


def test_numbers_as_diff_writes_them_are_passed_over(workspace: Workspace) -> None:
    do(workspace, _patch("*** Update File: a.py", "@@ -1,3 +1,3 @@ def f():", " def f():", "-    x = 1", "+    x = 9"))
    assert "x = 9" in _text()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "begins with the line"),
        ("--- a\n+++ b\n", "begins with the line '\\*\\*\\* Begin Patch'"),
        ("*** End Patch\n*** Begin Patch\n", "ends with the line '\\*\\*\\* End Patch'"),
        ("*** Begin Patch\n*** End Patch", "changes nothing"),
        ("*** Begin Patch\nx\n*** End Patch", "line 2 of the patch, 'x'"),
        ("*** Begin Patch\n*** Update File: a\n*** End Patch", "line 3 .*nothing of a is changed"),
        ("*** Begin Patch\n*** Update File: a\n@@\nx\n*** End Patch", "line 4 .*begins with a space, - or \\+"),
        ("*** Begin Patch\n*** Update File: a\n@@ x\n*** End Patch", "line 4 .*expected lines"),
        ("*** Begin Patch\n*** Add File: a\n-x\n*** End Patch", "each line of the new file a begins with \\+"),
        ("*** Begin Patch\n*** Add File: a\n+x\n*** End of File\n*** End Patch", "line 4"),
    ],
)
def test_what_is_no_patch_is_told_with_the_line_that_is_wrong(text: str, why: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=why):
        msgspec.json.decode(msgspec.json.encode({"patch": text}), type=ApplyPatch)


def test_all_paths_of_a_patch_are_known() -> None:
    found = _patch("*** Update File: a", "*** Move to: b", "@@", "-x", "*** Add File: c", "+x", "*** Delete File: a")
    assert found.paths == ("a", "b", "c")
    assert [change.kind for change in patch.parse(found.patch)] == ["Update", "Add", "Delete"]


def test_what_is_no_text_is_not_edited(workspace: Workspace) -> None:
    Path("b").write_bytes(b"two\0")
    for request in (Edit("b", "two", "x"), _patch("*** Update File: b", "@@", "-two"), Read("b")):
        with pytest.raises(OcgError, match="b is a binary file"):
            do(workspace, request)
