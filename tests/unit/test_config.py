"""env.config: systemd's grammar, errors with file and line, and who wins over whom."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocg import config
from ocg.config import envfile
from ocg.errors import Code, OcgError


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("A=1\nB=2\n", {"A": "1", "B": "2"}),
        ("  A = spaced out  \n", {"A": "spaced out"}),
        ("# comment\n; another\nA=1", {"A": "1"}),
        ("# a comment \\\nthat goes on\nA=1", {"A": "1"}),
        ("A=\"x y\"\nB='p q'\n", {"A": "x y", "B": "p q"}),
        ('A="say \\"hi\\" \\$HOME \\n"', {"A": 'say "hi" $HOME \\n'}),
        ("A='it\\s'", {"A": "it\\s"}),
        ("A=one \\\ntwo\n", {"A": "one two"}),
        ('A="one\ntwo"\n', {"A": "one\ntwo"}),
        ("A=\"x\"'y'z\n", {"A": "xyz"}),
        ("A=a'b'\n", {"A": "a'b'"}),
        ("A=\\ b\\ \n", {"A": " b "}),
        ("A=\nB=1", {"A": "", "B": "1"}),
        ("A=1\nA=2\n", {"A": "2"}),
        ("A=x#no comment\n", {"A": "x#no comment"}),
        ("A=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
        ("", {}),
    ],
)
def test_the_grammar_is_systemds(text: str, wanted: dict[str, str]) -> None:
    assert envfile.parse(text, name="env.config") == wanted


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        ("A=1\nnonsense\n", 2, "KEY=VALUE"),
        ("\n\nexport A=1\n", 3, "KEY=VALUE"),
        ("A=1\n2B=1\n", 2, "KEY=VALUE"),
        ('A=1\nB="open\nC=1\n', 2, 'a closing "'),
        ("B='open", 1, "a closing '"),
        ("=x", 1, "KEY=VALUE"),
    ],
)
def test_a_line_that_does_not_parse_is_named_with_what_was_expected(text: str, line: int, expected: str) -> None:
    with pytest.raises(OcgError, match=rf"env\.config:{line}: expected {re.escape(expected)}") as caught:
        envfile.parse(text, name="env.config")
    assert caught.value.code is Code.CONFIG_INVALID


def test_a_bad_line_never_shows_its_text_since_it_may_be_a_secret() -> None:
    with pytest.raises(OcgError) as caught:
        envfile.parse("sk-secret-key", name="env.config")
    assert "sk-secret" not in str(caught.value)


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_any_value_written_in_double_quotes_is_read_back(value: str) -> None:
    escaped = re.sub(r'(["\\`$])', r"\\\1", value)
    assert envfile.parse(f'A="{escaped}"', name="x") == {"A": value}


@given(st.text())
def test_any_text_parses_or_is_refused_with_a_line(text: str) -> None:
    refused = ""
    try:
        envfile.parse(text, name="x")
    except OcgError as error:
        refused = error.message
    assert not refused or re.match(r"x:\d+: expected", refused)


def test_the_command_line_wins_over_the_environment_over_the_file_over_the_default() -> None:
    args, environ, file = {"OCG_PORT": "1"}, {"OCG_PORT": "2"}, {"OCG_PORT": "3"}
    assert config.load(config.Common, args=args, environ=environ, file=file).port == 1
    assert config.load(config.Common, environ=environ, file=file).port == 2
    assert config.load(config.Common, file=file).port == 3
    assert config.load(config.Common).port == 55003


def test_systemds_directories_stand_in_for_defaults_only() -> None:
    environ = {"STATE_DIRECTORY": "/var/lib/ocg"}
    assert config.load(config.Common, environ=environ).data_dir == Path("/var/lib/ocg")
    assert config.load(config.Common, environ=environ, file={"OCG_DATA_DIR": "/x"}).data_dir == Path("/x")


@pytest.mark.parametrize(
    ("key", "text"), [("OCG_PORT", "70000"), ("OCG_AUTO_RECALL", "perhaps"), ("OCG_RECALL_MINSCORE", "2")]
)
def test_a_value_that_does_not_fit_names_its_key_and_source(key: str, text: str) -> None:
    with pytest.raises(OcgError, match=f"{key}: expected .*{text}") as caught:
        config.load(config.AgentSettings, file={key: text})
    assert "env.config" in caught.value.hint


def test_secrets_are_in_no_repr_and_no_error() -> None:
    settings = config.load(config.AgentSettings, file={"OCG_UI_TOKEN": "s3cret", "OCG_API_KEY": "k3y"})
    assert "s3cret" not in repr(settings)
    assert "k3y" not in repr(settings)


def test_every_setting_says_what_it_is() -> None:
    assert all(len(one.doc) > 10 for one in config.declared().values())


def test_a_named_file_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OcgError, match="no such file"):
        config.gather(config.Common, {"OCG_CONFIG": str(tmp_path / "absent")})


def test_the_documentation_has_every_setting_with_its_default() -> None:
    text = (Path(__file__).parent.parent.parent / "docs" / "configuration.md").read_text()
    for one in config.declared().values():
        default = f"`{one.default}`" if one.default else ""
        assert f"| `{one.key}` | {default} | {one.doc} |" in text


def test_credentials_win_over_the_environment_and_the_file(tmp_path: Path) -> None:
    (tmp_path / "env.config").write_text("OCG_UI_TOKEN=from-the-file\nOCG_MODEL=kept\n")
    (tmp_path / "OCG_UI_TOKEN").write_text("from-the-credential\n")
    environ = {
        "CONFIGURATION_DIRECTORY": str(tmp_path),
        "CREDENTIALS_DIRECTORY": str(tmp_path),
        "OCG_UI_TOKEN": "from-the-environment",
    }
    found = config.gather(config.AgentSettings, {}, environ)
    assert (found.ui_token, found.model) == ("from-the-credential", "kept")


def test_a_credential_that_is_no_text_is_an_error_without_its_content(tmp_path: Path) -> None:
    (tmp_path / "OCG_UI_TOKEN").write_bytes(b"\xff\xfesecret")
    with pytest.raises(OcgError, match="credential OCG_UI_TOKEN") as caught:
        config.gather(config.Common, {}, {"CREDENTIALS_DIRECTORY": str(tmp_path), "CONFIGURATION_DIRECTORY": "/none"})
    assert "secret" not in str(caught.value)


def test_what_systemd_took_from_the_file_changes_with_the_file(tmp_path: Path) -> None:
    """EnvironmentFile= puts the file's lines into the environment, where they would win for ever."""
    file = tmp_path / "env.config"
    file.write_text("OCG_MODEL=old\nOCG_LOG_LEVEL=debug\n")
    environ = {"CONFIGURATION_DIRECTORY": str(tmp_path), "OCG_MODEL": "old", "OCG_LOG_LEVEL": "debug", "OCG_PORT": "1"}
    sources = config.Sources.find({}, environ)
    old = sources.load(config.AgentSettings)
    file.write_text("OCG_MODEL=new\n")
    new = sources.load(config.AgentSettings)
    assert (old.model, old.log_level, old.port) == ("old", "DEBUG", 1)
    assert (new.model, new.log_level, new.port) == ("new", "INFO", 1)
    assert set(config.changed(old, new)) == {"OCG_MODEL", "OCG_LOG_LEVEL"}
    assert config.replaced(old, new, {"OCG_MODEL"}).log_level == "DEBUG"


def test_the_configuration_directory_stands_in_for_this_folder(tmp_path: Path) -> None:
    found = config.gather(config.Common, {}, {"CONFIGURATION_DIRECTORY": str(tmp_path)})
    assert found.config_file == tmp_path / "env.config"
    assert config.gather(config.Common, {}, {}).config_file == Path("env.config").absolute()


def test_a_unit_decides_its_places_whatever_the_file_says(tmp_path: Path) -> None:
    """A file that was written for a start without systemd names /tmp, which a unit has to itself (PrivateTmp=)."""
    lines = {"OCG_AGENT_SOCK": "/tmp/ocg-agent.sock", "OCG_PID_DIR": "/tmp/ocg", "OCG_MODEL": "kept"}
    (tmp_path / "env.config").write_text("".join(f"{key}={value}\n" for key, value in lines.items()))
    environ = {**lines, "CONFIGURATION_DIRECTORY": str(tmp_path), "RUNTIME_DIRECTORY": "/run/ocg"}
    sources = config.Sources.find({}, environ)
    found = sources.load(config.AgentSettings)
    assert (str(found.agent_sock), str(found.pid_dir), found.model) == ("/run/ocg/agent.sock", "/run/ocg", "kept")
    assert sources.ignored() == {"OCG_AGENT_SOCK", "OCG_PID_DIR"}
    explicit = config.Sources.find({}, {**environ, "OCG_AGENT_SOCK": "/run/other.sock"}).load(config.AgentSettings)
    assert str(explicit.agent_sock) == "/run/other.sock", "a drop-in's Environment= is heeded"


@pytest.mark.parametrize(("line", "by_systemd", "found"), [("", "systemd", "systemd"), ("none", "none", "none")])
def test_what_confines_tools_can_be_said_under_systemd_as_well(
    tmp_path: Path, line: str, by_systemd: str, found: str
) -> None:
    """Where EnvironmentFile= has a line, it takes the place of the unit's own Environment=."""
    (tmp_path / "env.config").write_text(f"OCG_TOOL_SANDBOX={line}\n" if line else "")
    environ = {
        "CONFIGURATION_DIRECTORY": str(tmp_path),
        "RUNTIME_DIRECTORY": "/run/ocg",
        "OCG_TOOL_SANDBOX": by_systemd,
    }
    sources = config.Sources.find({}, environ)
    assert sources.load(config.AgentSettings).tool_sandbox == found
    assert not sources.ignored()


def test_a_home_that_there_is_none_of_is_an_error_with_its_key() -> None:
    with pytest.raises(OcgError, match="OCG_DATA_DIR: expected a path; there is no such user's home"):
        config.load(config.Common, file={"OCG_DATA_DIR": "~nobodyhere/x"})
