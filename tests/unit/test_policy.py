"""Rules for calls of tools: the first that fits decides, and what a shell would make of a command fools none."""

import re
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ocg.agent.policy import Call, Policy, PolicyFile, Rule
from ocg.agent.policy.command import is_allowed, is_meant, read
from ocg.agent.policy.glob import Glob
from ocg.agent.tools.command import Command, Wish
from ocg.errors import Code, OcgError
from ocg.protocol.approvals import Decision
from ocg.protocol.tooling import Action, ApplyPatch, Grep

# What beat the allowlists of others: openclaw#128470, openclaw#23276, nanobot#4514, #4515 and #4516, and their kin.
HOLES = (
    "ls | sh",
    "ls; rm -rf /",
    "ls && rm -rf /",
    "ls || rm -rf /",
    "ls & rm -rf /",
    "ls\nrm -rf /",
    "ls $(rm -rf /)",
    "ls `rm -rf /`",
    "ls ${IFS}x",
    "ls $HOME",
    'ls "$(rm -rf /)"',
    "ls <(rm -rf /)",
    "ls > /etc/passwd",
    "ls >> ~/.bashrc",
    "ls < /dev/tcp/evil/80",
    "ls # harmless",
    "ls \\\n; rm",
    "ls \\; rm",
    "LD_PRELOAD=/tmp/evil.so ls",
    "sh -c ls",
    "sudo ls",
    "env ls",
    "/tmp/evil/ls",
    "./ls",
    "'ls ' -l",
    "ls 'unclosed",
    "ls !!",
    "ls {a,b}",
    "ls ~root",
    "ls\x00rm",
    "ls\rrm",
    "",
    f"ls {'x' * 20_000}",
)


@pytest.mark.parametrize("line", HOLES)
def test_what_beat_the_allowlists_of_others_is_not_allowed(line: str) -> None:
    assert is_allowed("ls -l src", ["ls *"])
    assert not is_allowed(line, ["ls *"])


@pytest.mark.parametrize(
    ("line", "pattern"),
    [
        ("git status", "git status"),
        ("git  diff\t--stat 'a file'", "git diff *"),
        ("git diff", "git diff *"),
        ("cat src/a.py", "cat src/*"),
        ('grep "two words" notes', "grep 'two words' *"),
        ("echo ';' '$x' '|'", "echo *"),
    ],
)
def test_a_plain_command_that_fits_is_allowed(line: str, pattern: str) -> None:
    assert is_allowed(line, [pattern])


@pytest.mark.parametrize(
    ("line", "pattern"),
    [
        ("git push", "git status"),
        ("git status --short", "git status"),
        ("gitstatus", "git status"),
        ("git", "git diff *"),
        ("cat src/../../etc/passwd", "cat src/*"),
    ],
)
def test_a_plain_command_that_does_not_fit_is_not(line: str, pattern: str) -> None:
    assert not is_allowed(line, [pattern])


_NASTY = st.text(alphabet="ab-/='\"\\$`;|&<>(){}*?[]#!~.% \t\n\r\x01", max_size=14)


@settings(max_examples=400, deadline=None)
@example('printf %s_ "$$"')
@example('printf %s_ "`:`"')
@example('printf %s_ "a\\\\b"')
@given(_NASTY.map(lambda text: f"printf %s_ {text}") | _NASTY.map(lambda text: f"printf '%s_' '{text}' {text}"))
def test_a_plain_command_is_to_the_shell_the_very_words_that_were_read(line: str) -> None:
    commands = read(line)
    if commands is None or len(commands) != 1:
        return
    said = subprocess.run(["sh", "-c", line], capture_output=True, check=True, env={}, cwd="/proc/self").stdout.decode()
    assert said == "".join(f"{word}_" for word in commands[0][2:] or [""])


@pytest.mark.parametrize("line", ["rm -rf x", "ls; rm -rf x", "ls | rm", "/bin/rm x", "'rm' x", "ls\nrm x"])
def test_a_forbidden_command_is_found_beside_others_and_wherever_it_lies(line: str) -> None:
    assert is_meant(line, ["rm *"]) is True


@pytest.mark.parametrize(
    "line",
    [
        *("$(echo rm) x", "sudo rm x", "sh -c 'rm x'", "xargs rm", "if true; then rm x; fi", "rbash -c 'rm x'"),
        *("/usr/bin/ash -c 'rm x'", "bash5.2 -c 'rm x'", "python3.11 -c 'x'", "node -e 'x'", "lua5.4 -e 'x'"),
        *("gawk 'BEGIN{}'", "script -c 'rm x'", "tmux new 'rm x'", "flock x -c 'rm x'", "systemd-run -- 'rm' x"),
        *("git bisect run rm x", "ld-linux.so.2 /bin/rm x", "whatever --now /bin/rm x", "strace -f sh x", "'' rm x"),
    ],
)
def test_what_may_be_a_forbidden_command_is_not_known_to_be_none(line: str) -> None:
    assert is_meant(line, ["rm *"]) is None


def test_a_command_that_is_none_of_the_forbidden_is_known_to_be_none() -> None:
    assert is_meant("ls; cat form rm.txt", ["rm *"]) is False
    assert is_meant("git log git", ["git push *"]) is False


def _judge(*rules: Mapping[str, object], tool: str = "exec", default: Decision = "ask", **call: object) -> str:
    made = Policy(rule=tuple(msgspec.convert(one, Rule) for one in rules))
    return made.judge(Call(tool, default, "s", **call)).decision  # type: ignore[arg-type] # a test's own


def test_the_first_rule_that_fits_decides_and_else_the_tools_own_default() -> None:
    rules = (
        {"tool": ["exec"], "command": ["git push *"], "decision": "deny"},
        {"tool": ["exec"], "command": ["git *"], "decision": "allow"},
        {"tool": ["memory_*"], "decision": "ask"},
    )
    assert _judge(*rules, command="git push origin") == "deny"
    assert _judge(*rules, command="git log") == "allow"
    assert _judge(*rules, command="make") == "ask"
    assert _judge(*rules, tool="memory_store", default="allow") == "ask"
    assert _judge(*rules, tool="time", default="allow") == "allow"


def test_a_command_that_may_be_forbidden_is_asked_about_even_where_all_others_are_allowed() -> None:
    rules = ({"command": ["rm *"], "decision": "deny"}, {"decision": "allow"})
    assert _judge(*rules, command="ls") == "allow"
    assert _judge(*rules, command="rm x") == "deny"
    assert _judge(*rules, command="$(echo rm) x") == "ask"


def test_a_stranger_has_no_tool_unless_a_rule_names_strangers() -> None:
    rules = ({"decision": "allow"},)
    assert _judge(*rules, tool="time", default="allow", is_stranger=True) == "deny"
    assert _judge({"tool": ["time"], "stranger": True, "decision": "allow"}, tool="time", is_stranger=True) == "allow"
    assert _judge({"stranger": True, "decision": "deny"}, tool="time", default="allow") == "allow"


def test_rules_know_sessions_and_channels() -> None:
    assert _judge({"channel": ["*"], "decision": "deny"}, channel="telegram") == "deny"
    assert _judge({"channel": ["*"], "decision": "deny"}) == "ask"
    assert _judge({"session": ["work.*"], "decision": "allow"}) == "ask"
    assert _judge({"session": ["s"], "decision": "allow"}) == "allow"


def test_a_pattern_of_paths_ends_at_a_folder_and_at_the_workspace() -> None:
    allow = {"path": ["notes/*"], "decision": "allow"}
    assert _judge(allow, paths=("notes/a.md",)) == "allow"
    assert _judge(allow, paths=("notes/deep/a.md",)) == "ask"
    assert _judge({"path": ["**"], "decision": "allow"}, paths=("notes/deep/a.md",)) == "allow"
    assert _judge({"path": ["**"], "decision": "allow"}, paths=("/etc/passwd",)) == "ask"
    assert _judge({"path": ["/etc/**"], "decision": "deny"}, paths=("/etc/passwd",)) == "deny"
    assert _judge(allow) == "ask"


def test_of_several_paths_all_have_to_be_allowed_and_any_may_be_forbidden() -> None:
    allow: dict[str, object] = {"path": ["notes/*", "drafts/*"], "decision": "allow"}
    assert _judge(allow, paths=("notes/a", "drafts/b")) == "allow"
    assert _judge(allow, paths=("notes/a", "src/b")) == "ask"
    assert _judge({"path": ["secret/**"], "decision": "deny"}, paths=("notes/a", "secret/b")) == "deny"
    assert _judge({"path": ["secret/**"], "decision": "deny"}, default="allow", paths=("notes/a", "")) == "ask"


def test_who_looks_through_a_folder_is_asked_about_what_is_forbidden_below_it() -> None:
    deny: dict[str, object] = {"path": ["secret/**", "*/keys/*.pem"], "decision": "deny"}
    for path in (".", "a", "a/keys"):
        assert _judge(deny, default="allow", paths=(path,), is_deep=True) == "ask", path
        assert _judge(deny, default="allow", paths=(path,)) == "allow", path
    assert _judge(deny, default="allow", paths=("secret/a",), is_deep=True) == "deny"
    assert _judge(deny, default="allow", paths=("a/b",), is_deep=True) == "allow"
    assert _judge(deny, default="allow", paths=("/etc",), is_deep=True) == "allow"


async def test_no_path_in_a_patch_gets_round_a_rule(tmp_path: Path) -> None:
    policy = await _of_file(tmp_path, '[[rule]]\npath = "secret/**"\ndecision = "deny"\n')
    (tmp_path / "workspace/way").symlink_to("secret")
    for line in ("Add File: secret/a", "Delete File: x/../secret/a", "Update File: way/a", "Update File: b"):
        body = {"A": "+x\n", "D": "", "U": "*** Move to: secret/b\n" if line.endswith(" b") else "@@\n-a\n"}[line[0]]
        text = f"*** Begin Patch\n*** Add File: c\n+x\n*** {line}\n{body}*** End Patch\n"
        verdict, _ = await policy.judge("apply_patch", ApplyPatch(text), default="allow", session="s")
        assert verdict.decision == "deny", text
    verdict, _ = await policy.judge("grep", Grep("x"), default="allow", session="s")
    assert verdict.decision == "ask"


_ANY_PATH = st.text(alphabet="ab/.\n*?[", max_size=12)


@settings(max_examples=400, deadline=None)
@given(st.text(alphabet="ab/.*?[\n", min_size=1, max_size=10), _ANY_PATH)
def test_a_pattern_of_paths_means_what_its_regular_expression_would(pattern: str, path: str) -> None:
    kinds = {"**": ".*", "*": "[^/]*", "?": "[^/]"}
    parts = (kinds.get(part) or re.escape(part) for part in re.split(r"(\*\*|\*|\?)", pattern))
    assert Glob(pattern).fits(path) == bool(re.fullmatch("".join(parts), path, re.DOTALL))


def test_no_path_takes_long_to_compare() -> None:
    began = time.monotonic()
    assert not Glob("**/a/**/b/**/*a*a*a*.py").fits("a/b/" * 500 + "a" * 2000)
    assert time.monotonic() - began < 1


def test_a_path_that_leads_nobody_knows_where_is_not_allowed_and_may_be_a_forbidden_one() -> None:
    assert _judge({"path": ["**"], "decision": "allow"}, default="deny", paths=("",)) == "deny"
    assert _judge({"path": ["/etc/**"], "decision": "deny"}, default="allow", paths=("",)) == "ask"


class _Command(msgspec.Struct):
    """The arguments of a tool that runs commands."""

    command: str | list[str] | None


class _Path(msgspec.Struct):
    """The arguments of a tool that writes a file."""

    path: str


async def _of_file(folder: Path, text: str) -> PolicyFile:
    (folder / "policy.toml").write_text(text)
    (folder / "policy.toml").chmod(0o600)
    (folder / "workspace").mkdir(exist_ok=True)
    found = PolicyFile(folder, folder / "workspace")
    found.take(await found.read())
    return found


async def test_a_path_is_where_it_leads_in_the_end(tmp_path: Path) -> None:
    policy = await _of_file(tmp_path, '[[rule]]\npath = "notes/**"\ndecision = "allow"\n')
    (tmp_path / "workspace/notes").mkdir()
    (tmp_path / "workspace/notes/out").symlink_to("/etc")
    for path, decision in {
        "notes/a": "allow",
        "notes/x/../a": "allow",
        "notes/../secret": "deny",
        "notes/out/passwd": "deny",
        "notes/../../workspace/notes/a": "allow",
        str(tmp_path / "workspace/notes/a"): "allow",
        "notes/\0": "deny",
        f"notes/{'x/../' * 1000}a": "deny",
    }.items():
        verdict, _ = await policy.judge("write", _Path(path), default="deny", session="s")
        assert verdict.decision == decision, path


async def test_what_has_no_line_for_a_shell_fits_no_rule_about_commands(tmp_path: Path) -> None:
    policy = await _of_file(tmp_path, '[[rule]]\ncommand = ["ls"]\ndecision = "allow"\n')
    for arguments in (_Path("ls"), _Command(None), _Command(["ls"])):
        verdict, judged = await policy.judge("exec", arguments, default="ask", session="s")
        assert (verdict.decision, judged.command) == ("ask", None)
    verdict, judged = await policy.judge("exec", _Command("ls"), default="ask", session="s")
    assert (verdict.decision, judged.command) == ("allow", "ls")


def test_the_network_is_given_by_a_rule_that_says_so_and_by_no_other() -> None:
    plain = {"command": ["curl *"], "decision": "allow"}
    assert _judge(plain, command="curl x") == "allow"
    assert _judge(plain, command="curl x", has_network=True) == "ask"
    assert _judge({"decision": "allow"}, command="curl x", has_network=True) == "ask"
    giving = plain | {"network": True}
    assert _judge(giving, command="curl x", has_network=True) == "allow"
    assert _judge(giving, command="curl x") == "allow"


def test_a_rule_that_denies_is_about_calls_with_and_without_the_network_unless_it_says_which() -> None:
    for network, with_it, without in ((None, "deny", "deny"), (True, "deny", "ask"), (False, "ask", "deny")):
        rule = {"decision": "deny"} | ({} if network is None else {"network": network})
        assert _judge(rule, command="curl x", has_network=True) == with_it
        assert _judge(rule, command="curl x") == without


async def test_what_is_typed_into_a_shell_in_the_background_is_judged_as_a_command(tmp_path: Path) -> None:
    policy = await _of_file(tmp_path, '[[rule]]\ncommand = "rm *"\ndecision = "deny"\n')
    for wish, decision in (
        (Wish("write", id="p", input="rm -r x\n"), "deny"),
        (Wish("write", id="p", input="$(echo rm) x\n"), "ask"),
        (Wish("write", id="p", input="ls\n"), "allow"),
        (Wish("write", id="p", input="r"), "ask"),  # and then: m x
        (Wish("write", id="p", input="ls", is_last=True), "allow"),
        (Wish("poll", id="p", input="rm -r x\n"), "allow"),
    ):
        verdict, _ = await policy.judge("process", wish, default="allow", session="s")
        assert verdict.decision == decision, wish


async def test_a_rule_about_paths_allows_no_page_of_the_web(tmp_path: Path) -> None:
    """The browser's `path` says where a screenshot goes; with a page that is opened a model may give one as well."""
    policy = await _of_file(tmp_path, '[[rule]]\npath = "**"\ndecision = "allow"')
    for action, answer in (
        (Action("open", url="https://example.org", path="drafts/x.png"), "ask"),
        (Action("screenshot"), "allow"),
    ):
        verdict, _ = await policy.judge("browser", action, default="ask", session="s")
        assert verdict.decision == answer


async def test_a_call_that_wants_the_network_is_judged_as_one(tmp_path: Path) -> None:
    policy = await _of_file(tmp_path, '[[rule]]\ncommand = "ls"\ndecision = "allow"\n')
    for network, decision in ((False, "allow"), (True, "ask")):
        verdict, _ = await policy.judge("exec", Command("ls", network=network), default="ask", session="s")
        assert verdict.decision == decision


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[rule]\n", "policy.toml"),
        ('[[rule]]\ntool = "exec"\n', "decision"),
        ('[[rule]]\ndecision = "perhaps"\n', "perhaps"),
        ('[[rule]]\ndecision = "allow"\ncolour = "ls"\n', "colour"),
        ('[[rule]]\ndecision = "allow"\ncommand = "\'"\n', "quotation"),
        ('[[rule]]\ndecision = "allow"\ncommand = " "\n', "no command"),
        ("rule = 3\n", "rule"),
        ("[[rule]]\ndecision = 3\n", "decision"),
    ],
)
async def test_a_mistake_in_the_file_is_named_and_changes_nothing(tmp_path: Path, text: str, said: str) -> None:
    policy = await _of_file(tmp_path, '[[rule]]\ndecision = "allow"\n')
    (tmp_path / "policy.toml").write_text(text)
    with pytest.raises(OcgError, match=said) as caught:
        policy.take(await policy.read())
    assert caught.value.code is Code.CONFIG_INVALID
    assert (await policy.judge("exec", _Command("ls"), default="ask", session="s"))[0].decision == "allow"


async def test_a_file_that_others_may_write_is_not_believed(tmp_path: Path) -> None:
    policy = await _of_file(tmp_path, "")
    (tmp_path / "policy.toml").chmod(0o666)
    with pytest.raises(OcgError) as caught:
        policy.take(await policy.read())
    assert caught.value.code is Code.UNSAFE_PATH


async def test_the_documented_rules_are_rules(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs/approvals.md").read_text()
    policy = await _of_file(tmp_path, page.split("```toml")[1].split("```")[0])
    for command, decision in {
        "git push origin": "deny",
        "ls; rm x": "deny",
        "git diff": "allow",
        "make": "ask",
    }.items():
        verdict, _ = await policy.judge("exec", _Command(command), default="ask", session="s")
        assert verdict.decision == decision, command
