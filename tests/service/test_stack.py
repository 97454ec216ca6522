"""The three together, as a user meets them: `ocg start`, a question, `ocg status`, `ocg stop`."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import certificates
from tests.asking import ask


class Cli:
    """The `ocg` command in an installation of the test's own."""

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        self.folder = folder
        self.env = env

    def run(self, *command: str, stdin: str = "", timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "ocg.cli", *command],
            env=self.env,
            cwd=self.folder,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )


@pytest.fixture
def cli(tmp_path: Path, env: dict[str, str]) -> Iterator[Cli]:
    del env["OCG_UI_TOKEN"]
    found = Cli(tmp_path, env)
    yield found
    found.run("stop", "--force")


def _token(cli: Cli) -> str:
    return (cli.folder / "data" / "token").read_text().strip()


def test_start_chat_status_stop(cli: Cli) -> None:
    started = cli.run("start")
    assert started.returncode == 0, started.stderr
    assert [line.split()[1] for line in started.stdout.splitlines()[:3]] == [
        "ocg-embedding",
        "ocg-agent",
        "ocg-gateway",
    ]
    port = cli.env["OCG_PORT"]
    assert f"Open http://127.0.0.1:{port}/#login=" in started.stdout
    assert _token(cli) not in started.stdout

    status = cli.run("status")
    assert status.returncode == 0, status.stdout
    lines = status.stdout.splitlines()
    pids = {name: (cli.folder / "pids" / f"ocg-{name.lower()}.pid").read_text().strip() for name in _NAMES}
    assert lines == [*(f"{name}: running (PID {pid})" for name, pid in pids.items()), "Health: ok"]
    assert json.loads(cli.run("status", "--json").stdout)["ok"] is True

    answered = cli.run("chat", "What is the capital of France?")
    assert answered.returncode == 0, answered.stderr
    assert answered.stdout.strip()
    piped = cli.run("chat", "What", stdin="is water?")
    assert piped.returncode == 0, piped.stderr

    assert ask(f"http://127.0.0.1:{port}/v1/sessions")[0] == 401
    code, sessions = ask(f"http://127.0.0.1:{port}/v1/sessions", token=_token(cli))
    assert code == 200
    assert [one["title"] for one in sessions["sessions"]] == ["What", "What is the capital of France?"]

    stopped = cli.run("stop")
    assert stopped.returncode == 0, stopped.stderr
    assert [line.split()[1] for line in stopped.stdout.splitlines()] == ["ocg-gateway", "ocg-agent", "ocg-embedding"]
    gone = cli.run("status")
    assert (gone.returncode, gone.stdout.splitlines()[-1]) == (3, "Health: not running")
    assert cli.run("stop").stdout == "Nothing was running.\n"


_NAMES = ("Embedding", "Agent", "Gateway")


def test_what_was_said_and_remembered_is_there_after_a_restart(cli: Cli) -> None:
    assert cli.run("start").returncode == 0
    base, token = f"http://127.0.0.1:{cli.env['OCG_PORT']}", _token(cli)
    assert ask(f"{base}/v1/memories", {"text": "The user's cat is called Tom."}, token=token)[0] == 200
    assert cli.run("chat", "hello").returncode == 0
    assert cli.run("restart").returncode == 0
    _, sessions = ask(f"{base}/v1/sessions", token=token)
    assert [one["title"] for one in sessions["sessions"]] == ["hello"]
    _, found = ask(f"{base}/v1/memories?q=pet", token=token)
    assert [one["text"] for one in found["memories"]] == ["The user's cat is called Tom."]


def test_the_page_is_served_with_nothing_from_elsewhere(cli: Cli) -> None:
    assert cli.run("start").returncode == 0
    with urllib.request.urlopen(f"http://127.0.0.1:{cli.env['OCG_PORT']}/") as answer:
        policy, page = answer.headers["Content-Security-Policy"], answer.read().decode()
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http://" not in page
    assert "https://" not in page


def test_a_line_of_env_config_that_does_not_parse_is_named(cli: Cli) -> None:
    (cli.folder / "env.config").write_text("OCG_PORT=1\nwhat is this\n")
    failed = cli.run("start")
    assert failed.returncode == 78
    assert "env.config:2: expected KEY=VALUE" in failed.stderr
    assert (cli.folder / "env.config").read_text() == "OCG_PORT=1\nwhat is this\n"


def test_a_gateway_port_in_use_is_one_clear_line_and_stops_what_had_started(cli: Cli) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", cli.env["OCG_PORT"]],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=cli.env | {"PYTHONUNBUFFERED": "1"},
        text=True,
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        failed = cli.run("start")
        other.kill()
    assert failed.returncode == 1
    last = [line for line in failed.stderr.splitlines() if line.startswith("ocg:")]
    assert len(last) == 1
    assert f"port {cli.env['OCG_PORT']} on 127.0.0.1 is in use" in last[0]
    assert cli.run("status").returncode == 3


def test_a_missing_model_says_how_to_get_it(cli: Cli) -> None:
    (cli.folder / "data" / "models").unlink()
    failed = cli.run("start")
    assert failed.returncode == 1
    assert "ocg models pull minilm" in failed.stderr


def test_a_pid_folder_of_another_user_is_refused(cli: Cli) -> None:
    (cli.folder / "pids").mkdir()
    os.chown(cli.folder / "pids", 12345, 12345)
    failed = cli.run("start")
    assert failed.returncode == 78
    assert "user 12345" in failed.stderr
    assert "--pid-dir" in failed.stderr


def test_by_hand_the_three_find_each_other_in_any_order(cli: Cli) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", f"ocg.{name}"],
            env=cli.env,
            cwd=cli.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for name in ("gateway", "agent", "embedding")
    ]
    try:
        for _ in range(100):
            if cli.run("status").returncode == 0:
                break
        assert cli.run("chat", "hello").returncode == 0
        assert cli.run("stop").returncode == 0
        assert [process.wait(10) for process in processes] == [0, 0, 0]
    finally:
        for process in processes:
            process.kill()
            process.wait()


def test_chat_without_an_agent_says_what_to_do(cli: Cli) -> None:
    failed = cli.run("chat", "hello")
    assert failed.returncode == 69
    assert "ocg start" in failed.stderr


@pytest.mark.parametrize("place", ["tls", "unix"])
def test_it_starts_and_stops_as_well_where_the_gateway_is_elsewhere(cli: Cli, place: str) -> None:
    path = cli.folder / "gateway.sock"
    cli.env |= certificates.make(cli.folder).env if place == "tls" else {"OCG_HOST": str(path)}
    started = cli.run("start")
    assert started.returncode == 0, started.stdout + started.stderr
    url = f"https://127.0.0.1:{cli.env['OCG_PORT']}" if place == "tls" else f"(the address of the proxy before {path})"
    assert f"Open {url}/#login=" in started.stdout
    assert cli.run("status").stdout.endswith("Health: ok\n")
    assert path.exists() == (place == "unix")
    assert cli.run("reload").returncode == 0
    assert cli.run("stop").returncode == 0
    assert not path.exists()
