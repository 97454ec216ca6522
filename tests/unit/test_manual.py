"""Manual pages, completions and the sample env.config, as the readers they are for read them."""

import os
import pty
import re
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ocg import config
from ocg.cli.__main__ import COMMANDS
from ocg.config import envfile
from ocg.errors import Code

ROOT = Path(__file__).parents[2]
PAGES = ("ocg.1", "env.config.5", "ocg-embedding.8", "ocg-agent.8", "ocg-gateway.8", "ocg-tool.8")
PATH = f"{ROOT}/bin:{os.environ['PATH']}"


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What manual.py writes."""
    folder = tmp_path_factory.mktemp("manual")
    write(folder)
    return folder


def write(folder: Path) -> None:
    tool = ROOT / "packaging/tools/manual.py"
    subprocess.run([sys.executable, tool, folder], env={"PATH": PATH, "SOURCE_DATE_EPOCH": "1790000000"}, check=True)


def shown(page: Path) -> str:
    """The page as man(1) shows it, in one line; anything it warns of is an error."""
    environ = {"PATH": PATH, "LC_ALL": "C.UTF-8", "MANWIDTH": "1000", "MANROFFSEQ": "", "MAN_KEEP_FORMATTING": ""}
    done = subprocess.run(["man", "--warnings", "-l", page], env=environ, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return re.sub(r"\s+", " ", done.stdout)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_well_formed_and_whatis_finds_it(out: Path, name: str) -> None:
    page = out / "man" / name
    assert "2026-09-21" in shown(page)
    checked = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-z", page], capture_output=True, text=True, check=True)
    assert checked.stderr == ""
    found = subprocess.run(["lexgrog", page], capture_output=True, text=True, check=True)
    assert found.stdout.startswith(f'{page}: "{name[:-2]} - ')


def test_the_command_page_has_every_command_option_and_error(out: Path) -> None:
    page = shown(out / "man/ocg.1")
    for command in COMMANDS:
        assert (f" ocg {command.name} " in page) == (not command.hidden), command.name
        if not command.hidden:
            helped = subprocess.check_output(["ocg", command.name, "-h"], env={"PATH": PATH}, text=True)
            assert all(option in page for option in re.findall(r"--[a-z-]+", helped))
    assert all(code in page for code in Code)


def test_every_setting_is_in_the_page_with_its_default(out: Path) -> None:
    page = shown(out / "man/env.config.5")
    for setting in config.declared().values():
        assert f" {setting.key}={setting.default} {setting.doc}" in page


def test_a_services_page_has_its_own_settings_and_not_the_others(out: Path) -> None:
    page = shown(out / "man/ocg-gateway.8")
    assert "OCG_CORS_ORIGINS=" in page
    assert "OCG_BASE_URL" not in page
    assert "--pid-dir DIR" in page


def test_the_sample_changes_nothing_and_has_every_key_with_its_default(out: Path) -> None:
    assert envfile.read(out / "env.config") == {}
    text = re.sub(r"(?m)^#(?=[A-Z_]+=)", "", (out / "env.config").read_text())
    assert envfile.parse(text, name="sample") == {one.key: one.default for one in config.declared().values()}


def test_two_runs_write_the_same_bytes(out: Path, tmp_path: Path) -> None:
    write(tmp_path)
    files = [path.relative_to(out) for path in out.rglob("*") if path.is_file()]
    assert len(files) == len(PAGES) + 4
    assert all((out / name).read_bytes() == (tmp_path / name).read_bytes() for name in files)


WISHES = pytest.mark.parametrize(
    ("typed", "wish"),
    [
        (("re",), {"restart", "reload"}),
        (("status", "--js"), {"--json"}),
        (("status", "--manager", "d"), {"direct"}),
        (("logs", "g"), {"gateway"}),
        (("models", "ver"), {"verify"}),
        (("models", "pull", "mini"), {"minilm"}),
        (("ale",), set()),
    ],
    ids=" ".join,
)


@WISHES
def test_bash_completes(out: Path, typed: tuple[str, ...], wish: set[str]) -> None:
    script = (
        f'source {out}/completions/bash/ocg; COMP_WORDS=(ocg "$@"); COMP_CWORD=$#; COMP_LINE="${{COMP_WORDS[*]}}"\n'
        'function=$(complete -p ocg | sed "s/.*-F \\([^ ]*\\) .*/\\1/"); $function; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "-c", script, "bash", *typed], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert set(done.stdout.split()) == wish


@WISHES
def test_fish_completes(out: Path, tmp_path: Path, typed: tuple[str, ...], wish: set[str]) -> None:
    script = f"source {out}/completions/fish/ocg.fish; complete --do-complete 'ocg {' '.join(typed)}'"
    environ = {"PATH": PATH, "HOME": str(tmp_path)}
    done = subprocess.run(
        ["fish", "--no-config", "-c", script], env=environ, capture_output=True, text=True, check=True
    )
    assert {line.split("\t")[0] for line in done.stdout.splitlines()} == wish


@WISHES
def test_zsh_completes(out: Path, tmp_path: Path, typed: tuple[str, ...], wish: set[str]) -> None:
    offered = by_tab(out / "completions/zsh", tmp_path, " ".join(("ocg", *typed)))
    assert set(re.findall(r"<([^>]+)>", offered)) == wish


def by_tab(functions: Path, home: Path, line: str) -> str:
    """What zsh offers, each between < and >, when somebody types a line and presses the tabulator."""
    (home / ".zshrc").write_text(
        f"fpath=({functions} $fpath); autoload -Uz compinit; compinit -u -d {home}/dump\n"
        # Whatever completion would add to the line is printed, too.
        'compadd() { local found=(); builtin compadd -O found "$@"\n'
        'print -rn -- "${found:+<${(j:><:)found}>}"; builtin compadd "$@" }\n'
        "offer() { zle complete-word; print -r -- ' [END]'; exit }; zle -N offer; bindkey '^I' offer; PS1='[READY]'\n"
    )
    child, master = pty.fork()
    if child == 0:
        os.execvpe("zsh", ["zsh", "-d", "-i"], {"PATH": PATH, "HOME": str(home), "TERM": "xterm"})
    try:
        until(master, "[READY]")
        os.write(master, f"{line}\t".encode())
        return until(master, "[END]")
    finally:
        os.close(master)
        os.waitpid(child, 0)


def until(master: int, mark: str) -> str:
    """Read what a terminal shows up to a mark."""
    text, deadline = "", time.monotonic() + 20
    while mark not in text:
        assert select.select([master], [], [], deadline - time.monotonic())[0], text
        text += os.read(master, 4096).decode(errors="replace")
    return text
