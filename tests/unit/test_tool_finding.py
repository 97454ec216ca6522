"""Reading, listing and looking for files: however many there are and whatever is in them, the answer has an end."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ocg.errors import Code, OcgError
from ocg.protocol.tooling import Glob, Grep, Ls, Read
from ocg.tool import grep
from ocg.tool.globs import compiled
from ocg.tool.operations import do
from ocg.tool.workspace import Workspace, here

_MOST_CHARS = 16_000  # what the agent shows of a result without cutting it


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    """A workspace with a small tree."""
    for at, name in enumerate(
        ("src/a.py", "src/deep/b.py", "src/deep/c.js", ".git/config", "node_modules/x/d.py", "e.md")
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"first\nneedle {name}\nlast\n")
        os.utime(path, (at, at))
    monkeypatch.chdir(tmp_path)
    with here() as found:
        yield found


def test_lines_come_with_their_numbers_and_it_is_said_where_to_go_on(workspace: Workspace) -> None:
    Path("many").write_text("".join(f"line {at}\n" for at in range(1, 101)))
    assert do(workspace, Read("many", offset=99)) == "    99\tline 99\n   100\tline 100"
    assert do(workspace, Read("many", offset=3, limit=2)).splitlines() == [
        "     3\tline 3", "     4\tline 4", "[there are more lines: go on with offset=5]",
    ]  # fmt: skip
    with pytest.raises(OcgError, match="many has 100 lines"):
        do(workspace, Read("many", offset=101))
    Path("empty").touch()
    assert do(workspace, Read("empty")) == "[the file is empty]"


def test_however_large_a_file_is_the_parts_of_it_make_the_whole(workspace: Workspace) -> None:
    Path("large").write_text("".join(f"{at} {'x' * (at % 300)}\n" for at in range(2000)))
    lines: list[str] = []
    while True:
        text = do(workspace, Read("large", offset=len(lines) + 1))
        assert len(text) <= _MOST_CHARS
        lines += [line.partition("\t")[2] for line in text.splitlines() if not line.startswith("[")]
        if not text.endswith("]"):
            break
    assert lines == Path("large").read_text().splitlines()


def test_a_line_without_end_is_shown_by_its_beginning(workspace: Workspace) -> None:
    Path("long").write_bytes(b"\xef\xbb\xbf" + b"y" * (1 << 20) + b"\r\nnext\r\n")
    first, second = do(workspace, Read("long")).split("\n")
    assert first.startswith("     1\tyyy")
    assert "more in this line" in first
    assert len(first) < 3000
    assert second == "     2\tnext"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\x89PNG\r\n\x1a\nxxxx", "is an image — look at it with the tool image"),
        (b"RIFF....WEBPxxxx", "is an image"),
        (b"%PDF-1.7", "is a PDF"),
        ("hello".encode("utf-16"), "is UTF-16"),
        (b"ab\0cd", "is a binary file"),
    ],
)
def test_what_is_no_text_is_named_for_what_it_is(workspace: Workspace, data: bytes, said: str) -> None:
    Path("b").write_bytes(data)
    with pytest.raises(OcgError) as raised:
        do(workspace, Read("b"))
    assert said in str(raised.value)


def test_what_is_not_there_or_no_file_is_said(workspace: Workspace) -> None:
    for request in (Read("no"), Ls("no"), Glob("*", path="no"), Grep("x", path="no")):
        with pytest.raises(OcgError, match="no is not there") as raised:
            do(workspace, request)
        assert raised.value.code is Code.NOT_FOUND
    with pytest.raises(OcgError, match="src is a folder"):
        do(workspace, Read("src"))


def test_a_folder_is_listed_with_sizes_days_and_where_links_lead(workspace: Workspace) -> None:
    Path("big").write_bytes(b"x" * 5000)
    Path("link").symlink_to("src/a.py")
    lines = {line.split(maxsplit=3)[3]: line.split()[0] for line in do(workspace, Ls()).splitlines()}
    assert lines == {
        ".git/": "-", "big": "4.9K", "e.md": "23", "link -> src/a.py": "8", "node_modules/": "-", "src/": "-",
    }  # fmt: skip
    Path("none").mkdir()
    assert do(workspace, Ls("none")) == "[the folder is empty]"


def test_of_very_many_entries_the_rest_is_counted(workspace: Workspace) -> None:
    Path("many").mkdir()
    for at in range(600):
        Path(f"many/{at:03}").write_text("needle\n")
    *shown, last = do(workspace, Ls("many")).splitlines()
    assert (shown[-1].split()[-1], last) == (
        f"{len(shown) - 1:03}",
        f"… and {600 - len(shown)} more: look for what you need with glob",
    )
    *shown, last = do(workspace, Glob("many/*")).splitlines()
    assert (len(shown), last) == (200, "… and 400 more: narrow it down")
    *_, last = do(workspace, Grep("needle", path="many", limit=30)).splitlines()
    assert last == "[… and 570 more lines that fit: narrow it down]"


def test_files_are_found_by_their_names_the_newest_first(workspace: Workspace) -> None:
    assert do(workspace, Glob("*.py")) == "src/deep/b.py\nsrc/a.py"
    assert do(workspace, Glob("src/*.py")) == "src/a.py"
    assert do(workspace, Glob("*.{js,md}")) == "e.md\nsrc/deep/c.js"
    assert do(workspace, Glob("**/deep/*", path="src")) == "src/deep/c.js\nsrc/deep/b.py"
    assert do(workspace, Glob("*.py", path="node_modules")) == "node_modules/x/d.py"
    assert do(workspace, Glob("*.rs")) == "no file fits *.rs"


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [
        ("*.py", "a.py", True),
        ("*.py", "x/y/a.py", True),
        ("*.py", "x/a.pyc", False),
        ("x/*.py", "x/y/a.py", False),
        ("x/**", "x/y/a.py", True),
        ("**/y/**/a.*", "y/a.py", True),
        ("x/**/a.py", "x/a.py", True),
        ("[ab].{py,{js,ts}}", "b.ts", True),
        ("[!a].py", "a.py", False),
        ("./x/a.py", "x/a.py", True),
        ("*", ".hidden", True),
    ],
)
def test_patterns_mean_what_they_mean_elsewhere(pattern: str, path: str, fits: object) -> None:
    assert compiled(pattern)(path) is fits


def test_no_pattern_for_names_takes_long() -> None:
    began = time.monotonic()
    assert not compiled("**/a/**/a/**/*a*a*a*a*a*a*a*b")("a/" * 1000 + "a" * 250)
    assert time.monotonic() - began < 5
    with pytest.raises(OcgError, match="too many patterns"):
        compiled("{a,b}" * 20)


def test_lines_are_found_by_file_with_their_numbers(workspace: Workspace) -> None:
    assert do(workspace, Grep("^needle .*py$")) == (
        "src/a.py\n     2: needle src/a.py\nsrc/deep/b.py\n     2: needle src/deep/b.py"
    )
    assert (
        do(workspace, Grep("NEEDLE", include="*.js", ignore_case=True)) == "src/deep/c.js\n     2: needle src/deep/c.js"
    )
    assert (
        do(workspace, Grep("needle", path="e.md", context=1))
        == "e.md\n     1- first\n     2: needle e.md\n     3- last"
    )
    assert do(workspace, Grep("^$")) == "nothing fits ^$"


def test_between_places_that_are_apart_stands_a_mark(workspace: Workspace) -> None:
    Path("far").write_text("".join(f"{at}\r\n" for at in range(20)))
    assert do(workspace, Grep("^(3|5|15)$", path="far", context=1)).splitlines() == [
        "far", "     3- 2", "     4: 3", "     5- 4", "     6: 5", "     7- 6", "--", "    15- 14", "    16: 15",
        "    17- 16",
    ]  # fmt: skip


def test_binary_files_are_passed_over_and_long_lines_are_cut(workspace: Workspace) -> None:
    Path("binary").write_bytes(b"needle\0")
    Path("long").write_text("needle" + "x" * 100_000)
    found = do(workspace, Grep("needle", include="{binary,long}"))
    assert found.startswith("long\n     1: needlexxx")
    assert len(found) < 400


def test_whatever_is_found_the_answer_is_never_cut_in_its_middle(workspace: Workspace) -> None:
    Path("wide").write_text(("needle " + "x" * 250 + "\n") * 1000)
    found = do(workspace, Grep("needle", limit=1000, context=2))
    assert len(found) <= _MOST_CHARS
    assert found.endswith("more lines that fit: narrow it down]")


def test_a_pattern_that_would_take_for_ever_is_stopped(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grep, "TIME_S", 0.3)
    Path("z").write_text("a" * 60 + "!\n")
    assert do(workspace, Grep("(a+)+$|needle e", include="{e.md,z}")) == (
        "e.md\n     2: needle e.md\n[stopped after 0.3 s: give a path or include, or a pattern that takes less time]"
    )


def test_a_pattern_that_is_none_is_told_what_is_wrong_with_it(workspace: Workspace) -> None:
    with pytest.raises(OcgError, match="unterminated subpattern at position 0"):
        do(workspace, Grep("(needle"))


def test_a_tree_deeper_than_a_path_may_be_is_walked_as_far_as_it_goes(workspace: Workspace) -> None:
    before = os.open(".", os.O_RDONLY)
    try:
        for _ in range(100):
            name = "d" * 50
            Path(name).mkdir()
            os.chdir(name)
        Path("deepest.py").touch()
    finally:
        os.chdir(before)
        os.close(before)
    assert do(workspace, Glob("*.py")).splitlines() == ["src/deep/b.py", "src/a.py"]
