"""The command line and whoever runs the services: settings, tokens, links, and a restart by one of the services."""

import argparse
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ocg import config
from ocg.cli import __main__ as cli
from ocg.cli import agent, models, services, start
from ocg.cli.open import link
from ocg.errors import Code, OcgError
from ocg.managers import detached, places
from ocg.managers.base import Phase, Progress
from ocg.models import catalog, store
from ocg.protocol import login


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's home, with nothing of OCG set in the environment."""
    for key in [key for key in os.environ if key.startswith("OCG_")]:
        monkeypatch.delenv(key)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(places, "_CREDENTIALS", tmp_path / "credstore")
    monkeypatch.setattr(places, "_SEALED", tmp_path / "credstore.encrypted")
    return tmp_path


def _arguments(*argv: str) -> argparse.Namespace:
    return cli.build_parser("status").parse_args(["status", *argv])


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_settings_are_those_of_the_manager_that_is_meant(home: Path) -> None:
    _write(home / "config/ocg/env.config", "OCG_PORT=4001\n")
    _write(home / "env.config", "OCG_PORT=4002\n")
    user = services.settings_of(_arguments(), "user")
    assert (user.port, user.agent_sock) == (4001, home / "runtime/ocg/agent.sock")
    assert services.settings_of(_arguments(), "direct").port == 4002
    assert services.settings_of(_arguments("--config", "env.config"), "user").port == 4002


def test_what_the_user_may_not_read_leaves_the_defaults(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _write(home / "config/ocg/env.config", "OCG_PORT=4001\n")
    monkeypatch.setattr(services, "_may_read", lambda _: False)
    found = services.settings_of(_arguments(), "user")
    assert (found.port, found.ui_token, found.config_file) == (55003, "", Path(os.devnull))
    assert link(found, "http://127.0.0.1:55003", "user") == "http://127.0.0.1:55003"
    _write(home / "mine", "OCG_PORT=4003\n")
    monkeypatch.setenv("OCG_CONFIG", str(home / "mine"))
    assert services.settings_of(_arguments(), "user").port == 4003, "a file that was named is the one"


def test_whether_a_file_may_be_read(home: Path) -> None:
    folder = home / "folder"
    assert not services._may_read(folder), "what a folder out of reach holds is not known"
    folder.mkdir()
    assert services._may_read(folder), "no file is as good as one"
    (folder / "env.config").touch()
    assert services._may_read(folder)


def test_once_all_are_ready_the_link_has_the_token_that_they_made(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def steps() -> Iterator[Progress]:
        _write(home / ".ocg/token", "made-meanwhile\n")
        yield Progress("ocg-gateway", Phase.READY, 0.1, "http://x")

    list(start._announced(steps(), _arguments(), "user"))
    code = capsys.readouterr().out.partition("Open http://x/#login=")[2].strip()
    login.check_code("made-meanwhile", code, time.time(), not_before_s=0.0)


def test_a_link_has_no_code_that_a_sealed_token_would_not_know(home: Path) -> None:
    settings = config.load(config.Common, file={config.TOKEN_KEY: "of-the-file"})
    assert "#login=" in link(settings, "http://x", "system")
    _write(home / "credstore.encrypted" / config.TOKEN_KEY, "sealed")
    assert link(settings, "http://x", "system") == "http://x"
    assert "#login=" in link(settings, "http://x", "direct")


def test_a_plain_credential_is_the_token_that_links_are_made_of(home: Path) -> None:
    _write(home / "credstore" / config.TOKEN_KEY, "a-credential\n")
    assert services.settings_of(_arguments(), "system").ui_token == "a-credential"


@pytest.fixture
def agent_sock(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    path = home / "agent.sock"
    monkeypatch.setattr(agent, "environ_of", lambda _: {"OCG_AGENT_SOCK": str(path)})
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        yield path


def test_the_systems_agent_is_trusted_in_the_folder_that_systemd_made(
    agent_sock: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert agent.owners_of(agent_sock, "system") == (home.stat().st_uid,)
    assert agent.owners_of(agent_sock, "direct") == ()
    assert agent.owners_of(home / "another.sock", "system") == ()
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(OcgError, match="only members of the group ocg") as caught:
        agent.owners_of(agent_sock, "system")
    assert caught.value.code is Code.FORBIDDEN


def test_models_out_of_reach_are_told_with_the_remedy(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbid(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    models._check_readable(home / "none yet")
    monkeypatch.setattr(os, "scandir", forbid)
    with pytest.raises(OcgError, match="use sudo"):
        models._check_readable(home)


def test_models_of_packages_are_listed_and_pulled_without_a_copy(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store.SHARED.mkdir()
    packaged = store.SHARED / "extra.gguf"
    packaged.write_bytes(b"GGUF")
    for name in catalog.DEFAULTS:
        with (store.SHARED / f"{name}.gguf").open("wb") as stream:
            stream.truncate(catalog.find(name).size_bytes)
    assert cli.run(["models", "--manager", "direct", "list"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert any(line.startswith("extra ") and line.endswith("from a package") for line in listed)
    assert cli.run(["models", "--manager", "direct", "pull"]) == 0
    assert capsys.readouterr().out == ""
    assert cli.run(["models", "--manager", "direct", "pull", "minilm"]) == 0
    assert capsys.readouterr().out == f"minilm: here, {store.SHARED}/minilm.gguf\n"
    assert cli.run(["models", "--manager", "direct", "rm", "extra"]) == 1
    assert f"a package brought {packaged}" in capsys.readouterr().err
    assert not (home / ".ocg/models/minilm.gguf").exists()


def test_a_mistake_in_the_configuration_is_told_before_a_reload(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _write(home / "mine", "OCG_RECALL_LIMIT=many\n")
    assert cli.run(["reload", "--manager", "direct", "--config", "mine", "--pid-dir", str(home)]) == 78
    assert "OCG_RECALL_LIMIT" in capsys.readouterr().err
    _write(home / "mine", "OCG_RECALL_LIMIT=2\n")
    assert cli.run(["reload", "--manager", "direct", "--config", "mine", "--pid-dir", str(home)]) == 3
    assert "nothing is running" in capsys.readouterr().err


def test_each_step_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    steps = [
        Progress("ocg-agent", Phase.STOPPING),
        Progress("ocg-agent", Phase.STOPPED, 0.5, "SIGTERM"),
        Progress("ocg-agent", Phase.READY, 1.25, "/run/ocg/agent.sock"),
        Progress("ocg-agent", Phase.RELOADED, 0.1),
        Progress("ocg-agent", Phase.RELOADED, 0.1, "a restart is needed for OCG_PORT"),
    ]
    assert services.show(steps) == 4
    assert capsys.readouterr().out.splitlines() == [
        "■ ocg-agent       0.50 s  stopped (SIGTERM)",
        "✓ ocg-agent       1.25 s  /run/ocg/agent.sock",
        "✓ ocg-agent       0.10 s  reloaded",
        "✓ ocg-agent       0.10 s  reloaded (a restart is needed for OCG_PORT)",
    ]


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("0::/system.slice/ocg-agent.service", True),
        ("1:name=systemd:/system.slice/ocg-agent.service/tool", True),
        ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/ocg-agent.service", True),
        ("0::/system.slice/ocg-gateway.service", False),
        ("0::/system.slice/my-ocg-agent.service", False),
        ("0::/", False),
    ],
)
def test_whether_a_tool_of_the_agent_asks(monkeypatch: pytest.MonkeyPatch, line: str, *, wanted: bool) -> None:
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: f"9:cpu:/\n{line}\n")
    assert detached.is_inside("ocg-agent") is wanted


def test_what_is_queued_is_done_once_who_asked_has_ended(tmp_path: Path) -> None:
    done, went = tmp_path / "done", tmp_path / "went"
    reader, writer = os.pipe()
    asking = os.fork()
    if not asking:
        try:
            os.close(reader)
            detached.after_exit(lambda: done.write_text(str(went.exists())))
            time.sleep(0.2)  # nothing may happen meanwhile
            went.touch()
        finally:
            os._exit(0)
    os.close(writer)
    os.waitpid(asking, 0)
    with open(reader, "rb") as until_the_last_one_ends:
        assert until_the_last_one_ends.read() == b""
    assert done.read_text() == "True"
