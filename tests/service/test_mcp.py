"""MCP servers in a running agent: real ones from the public registries, over stdio and HTTP, and bad ones."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.provider import Exchange, ScriptedProvider, calls, provider, says
from tests.service.agent import Agent, agent
from tests.service.gateway import BEARER, environment, serving

ROOT = Path(__file__).parents[2]
# Where `make` puts other people's programs.
CLIENTS = ROOT / ".make/clients"
TIME = {"command": str(CLIENTS / "bin/mcp-server-time"), "read": [str(CLIENTS), sys.base_prefix]}
# Our own environment, which tools do not see unless they are shown it.
PYTHON = sorted({sys.prefix, sys.base_prefix, *(path for path in sys.path if path.endswith("site-packages"))})
ALLOW = '[[rule]]\ntool = "mcp_*"\ndecision = "allow"\n'


def played(mode: str, **fields: Any) -> dict[str, Any]:
    """Describe tests/mcp_server.py in a mode."""
    script = ROOT / "tests/mcp_server.py"
    return {"command": "/usr/bin/python3", "args": ["-S", str(script), mode], "read": [str(ROOT / "tests")]} | fields


@pytest.fixture
def model() -> Iterator[ScriptedProvider]:
    with provider(says("done")) as server:
        yield server


@pytest.fixture
def env(tmp_path: Path, free_port: int, model: ScriptedProvider) -> dict[str, str]:
    (tmp_path / "data").mkdir()
    write(tmp_path, "policy.toml", ALLOW)
    return environment(tmp_path, free_port) | model.env | {"PATH": os.environ["PATH"]}


def write(folder: Path, name: str, text: str) -> None:
    path = folder / "data" / name
    path.write_text(text)
    path.chmod(0o600)


def serve(folder: Path, **servers: Any) -> None:
    """Write mcp.json."""
    write(folder, "mcp.json", json.dumps({"mcpServers": servers}))


def until(running: Agent, name: str, state: str = "ready") -> dict[str, Any]:
    """Wait for a server's state."""
    for _ in range(600):
        status, found = running.ask("GET", "/v1/mcp")
        assert status == 200, found
        for one in found["servers"]:  # which are read after READY=1
            if (one["name"], one["state"]) == (name, state):
                return dict(one)
        time.sleep(0.1)
    raise AssertionError((found, running.process.log))


def use(running: Agent, model: ScriptedProvider, name: str, arguments: dict[str, Any]) -> str:
    """Have the model call a tool, and return what it was told."""
    seen: list[str] = []

    def hears(exchange: Exchange) -> None:
        seen.append(next(one["content"] for one in reversed(exchange.body["messages"]) if one["role"] == "tool"))
        says("done")(exchange)

    model.play(calls(name, json.dumps(arguments)), hears)
    running.say("go on")
    return seen[-1]


def cli(env: dict[str, str], *arguments: str, status: int = 0) -> str:
    command = [sys.executable, "-m", "ocg.cli", "mcp", "--manager", "direct", *arguments]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == status, (done.stdout, done.stderr)
    return done.stdout or done.stderr


@contextlib.contextmanager
def proxy(folder: Path, repository: Path) -> Iterator[str]:
    """Serve mcp-server-git over HTTP, by Streamable HTTP and by SSE, and give the URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    programs = CLIENTS / "bin"
    served = [f"{programs}/mcp-server-git", "-r", str(repository)]
    command = [f"{programs}/mcp-proxy", "--port", str(port), "--", *served]
    with (folder / "proxy.log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder)
    try:
        for _ in range(600):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            assert process.poll() is None, (folder / "proxy.log").read_text()
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


def test_a_real_server_in_a_cage_gives_the_model_its_tools(
    tmp_path: Path, env: dict[str, str], model: ScriptedProvider
) -> None:
    serve(tmp_path, time=TIME)
    with agent(tmp_path, env) as running:
        found = until(running, "time")
        assert [one["name"] for one in found["tools"]] == ["mcp_time_get_current_time", "mcp_time_convert_time"]
        asked = {"source_timezone": "Europe/Paris", "time": "12:00", "target_timezone": "Asia/Tokyo"}
        told = use(running, model, "mcp_time_convert_time", asked)
        assert "T19:00:00+09:00" in told or "T20:00:00+09:00" in told
        offered = {one["function"]["name"]: one["function"] for one in model.asked[-1]["tools"]}
        assert "timezone" in offered["mcp_time_get_current_time"]["parameters"]["properties"]
        assert "Invalid timezone" in use(running, model, "mcp_time_get_current_time", {"timezone": "Nowhere/At_All"})


def test_a_real_server_over_http_and_over_sse(tmp_path: Path, env: dict[str, str], model: ScriptedProvider) -> None:
    repository = tmp_path / "repository"
    subprocess.run(["git", "init", "-q", "-b", "trunk", str(repository)], check=True)
    with proxy(tmp_path, repository) as url:
        serve(tmp_path, git={"type": "http", "url": f"{url}/mcp"}, old={"url": f"{url}/sse"})
        with agent(tmp_path, env) as running:
            for name in ("git", "old"):
                assert len(until(running, name)["tools"]) >= 10
                asked = {"repo_path": str(repository)}
                assert "On branch trunk" in use(running, model, f"mcp_{name}_git_status", asked)
            said = cli(env, "test", "git")
            assert said.startswith("git: ok, mcp-git ")
            assert "  mcp_git_git_status " in said


def test_nothing_of_it_is_loaded_where_nobody_uses_it(tmp_path: Path, env: dict[str, str]) -> None:
    def has_sdk(running: Agent) -> bool:
        return "pydantic_core" in Path(f"/proc/{running.process.popen.pid}/maps").read_text()

    serve(tmp_path, off=played("plain", disabled=True))
    with agent(tmp_path, env) as running:
        until(running, "off", "disabled")
        assert not has_sdk(running)
        serve(tmp_path, s=played("plain"))
        running.process.popen.send_signal(signal.SIGHUP)
        until(running, "s")
        assert has_sdk(running)


def test_a_tool_is_asked_about_unless_a_rule_allows_it(
    tmp_path: Path, env: dict[str, str], model: ScriptedProvider
) -> None:
    serve(tmp_path, good=played("plain"))
    write(tmp_path, "policy.toml", '[[rule]]\ntool = "mcp_other_*"\ndecision = "allow"\n')
    with agent(tmp_path, env) as running:
        until(running, "good")
        model.play(calls("mcp_good_echo", '{"text": "hello"}'), says("done"))
        with running.opened("go on") as stream:
            asked = stream.until("approval.asked")
            assert asked["name"] == "mcp_good_echo"
            assert running.ask("POST", f"/v1/approvals/{asked['approval_id']}", {"answer": "deny"})[0] == 200
            assert "was not run" in stream.until("tool.result")["content"]


@pytest.mark.parametrize(("cwd", "begins_in"), [("a folder", "a folder"), ("", ".mcp/s")])
def test_a_server_sees_the_workspace_and_its_own_environment_alone(
    tmp_path: Path, env: dict[str, str], model: ScriptedProvider, cwd: str, begins_in: str
) -> None:
    (tmp_path / "env.config").write_text("A_KEY=for-the-server\n")
    (tmp_path / "data/workspace/a folder").mkdir(parents=True)
    serve(tmp_path, s=played("plain", env={"KEY": "${A_KEY}"}, cwd=cwd))
    with agent(tmp_path, env | {"OCG_CONFIG": str(tmp_path / "env.config")}) as running:
        until(running, "s")
        told = use(running, model, "mcp_s_echo", {"text": "environment"})
        found = json.loads(told[told.index("{") : told.rindex("}") + 1])
        assert found["KEY"] == "for-the-server"
        assert found["HOME"] == str(tmp_path / "data/workspace/.mcp/s")
        assert found["PWD"] == str(tmp_path / "data/workspace" / begins_in)
        assert not [key for key in found if key.startswith("OCG_") or "API_KEY" in key]
        assert "for-the-server" not in running.process.log
        assert "for-the-server" not in json.dumps(running.ask("GET", "/v1/mcp"))


def test_no_other_tool_reads_or_writes_where_servers_are_at_home(
    tmp_path: Path, env: dict[str, str], model: ScriptedProvider
) -> None:
    serve(tmp_path, s=played("plain"))
    with agent(tmp_path, env) as running:
        until(running, "s")
        home = tmp_path / "data/workspace/.mcp/s"
        (home / "key").write_text("a-key")
        assert "error" in use(running, model, "write", {"path": ".mcp/s/.npmrc", "content": "registry=http://evil"})
        assert "a-key" not in use(running, model, "read", {"path": ".mcp/s/key"})
        assert "error" in use(running, model, "write", {"path": ".mcp/t/.npmrc", "content": "registry=http://evil"})
        assert [one.name for one in home.parent.rglob("*")] == ["s", "key"]


def test_a_server_that_dies_is_started_by_the_next_call(
    tmp_path: Path, env: dict[str, str], model: ScriptedProvider
) -> None:
    serve(tmp_path, s=played("plain"))
    with agent(tmp_path, env) as running:
        until(running, "s")
        told = use(running, model, "mcp_s_echo", {"text": "die"})
        assert "the MCP server s: it ended with status 3; it said last: out of luck" in told
        until(running, "s", "resting")
        assert "you said hello" in use(running, model, "mcp_s_echo", {"text": "hello"})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("fail", "it cannot be done"),
        ("garbage", "you said garbage"),
        ("picture", "[image: image/png, 5 bytes; it cannot be shown]"),
        ("large", "yyyy"),
        ("parts", "an answer of more than 20000 parts"),
        ("flood", "it sent a line of more than 4 MiB"),
        ("hang", "mcp_s_echo took longer than 3 s"),
    ],
)
def test_whatever_a_server_does_the_turn_goes_on(
    tmp_path: Path, env: dict[str, str], model: ScriptedProvider, text: str, told: str
) -> None:
    serve(tmp_path, s=played("plain", timeout_s=3.0))
    with agent(tmp_path, env) as running:
        until(running, "s")
        assert told in use(running, model, "mcp_s_echo", {"text": text})
        assert running.ask("GET", "/health")[0] == 200
        assert "Traceback" not in running.process.log


def test_a_list_without_end_and_odd_tools_are_cut_down(tmp_path: Path, env: dict[str, str]) -> None:
    serve(tmp_path, endless=played("endless"), odd=played("odd"))
    with agent(tmp_path, env) as running:
        endless = until(running, "endless")
        assert (len(endless["tools"]), endless["left_out"]) == (64, ["there are more than are taken"])
        odd = until(running, "odd")
        assert [one["name"] for one in odd["tools"][:2]] == ["mcp_odd_echo", "mcp_odd_time"]
        assert all(len(one["name"]) <= 64 and len(one["description"]) <= 1024 for one in odd["tools"])
        assert [why.partition(":")[0] for why in odd["left_out"]] == ["large", "echo"]
        _, tools = running.ask("GET", "/v1/tools")
        assert [one["default"] for one in tools["tools"] if one["name"] == "mcp_odd_time"] == ["ask"]


def test_a_server_tells_of_new_tools(tmp_path: Path, env: dict[str, str], model: ScriptedProvider) -> None:
    serve(tmp_path, s=played("changing"))
    with agent(tmp_path, env) as running:
        assert len(until(running, "s")["tools"]) == 1
        use(running, model, "mcp_s_echo", {"text": "change"})
        for _ in range(600):
            if len(until(running, "s")["tools"]) == 2:
                break
            time.sleep(0.1)
        else:
            raise AssertionError(running.process.log)


def test_a_server_of_the_newest_protocol(tmp_path: Path, env: dict[str, str], model: ScriptedProvider) -> None:
    script = ROOT / "tests/mcp_modern.py"
    serve(tmp_path, new={"command": sys.executable, "args": [str(script)], "read": [str(ROOT / "tests"), *PYTHON]})
    with agent(tmp_path, env) as running:
        assert [one["title"] for one in until(running, "new")["tools"]] == ["grow", "add"]
        assert running.ask("POST", "/v1/mcp/new/test")[1]["protocol"] == "2026-07-28"
        assert '"sum": 5' in use(running, model, "mcp_new_add", {"a": 2, "b": 3})
        assert "b" in use(running, model, "mcp_new_add", {"a": 2})
        assert "grown" in use(running, model, "mcp_new_grow", {"name": "third"})
        for _ in range(600):
            if len(until(running, "new")["tools"]) == 3:
                break
            time.sleep(0.1)
        assert "this is third" in use(running, model, "mcp_new_third", {})


def test_servers_that_fail_hold_up_neither_the_start_nor_the_end(
    tmp_path: Path, env: dict[str, str], model: ScriptedProvider
) -> None:
    bad = {"silent": played("silent"), "broken": played("broken"), "wrong": {"command": "x", "url": "http://y"}}
    serve(tmp_path, **bad, absent={"command": "no-such-program"}, away={"url": "http://127.0.0.1:1/?key=s3cret"})
    with agent(tmp_path, env) as running:
        model.play(says("at once"))
        assert running.say("hello") == "at once"
        assert "it said last: no such luck" in until(running, "broken", "failed")["why"]
        assert "not found" in until(running, "absent", "failed")["why"]
        assert until(running, "away", "failed")["where"] == "http://127.0.0.1:1"
        assert "either a `command` or a `url`" in until(running, "wrong", "failed")["why"]
        assert until(running, "silent", "starting")
        assert running.process.stop() == 0
        assert "s3cret" not in running.process.log


def test_a_file_with_a_mistake_is_named_at_a_reload_and_changes_nothing(tmp_path: Path, env: dict[str, str]) -> None:
    serve(tmp_path, s=played("plain"))
    with agent(tmp_path, env) as running:
        until(running, "s")
        serve(tmp_path, t=played("plain"), bad={"command": ""})
        running.process.popen.send_signal(signal.SIGHUP)
        running.process.wait_for("could not be reloaded", 30)
        assert "server 'bad': it has to have either a `command` or a `url`" in running.process.log
        assert [one["name"] for one in running.ask("GET", "/v1/mcp")[1]["servers"]] == ["s"]
        serve(tmp_path, t=played("plain"))
        running.process.popen.send_signal(signal.SIGHUP)
        for _ in range(600):
            if [one["name"] for one in running.ask("GET", "/v1/mcp")[1]["servers"]] == ["t"]:
                break
            time.sleep(0.1)
        until(running, "t")


def test_the_command_line_and_the_api_show_and_try_them(tmp_path: Path, env: dict[str, str]) -> None:
    serve(tmp_path, s=played("plain"), broken=played("broken"), off=played("plain", disabled=True))
    with agent(tmp_path, env) as running, serving(tmp_path, env) as gateway:
        until(running, "s")
        until(running, "broken", "failed")
        lines = cli(env, "list").splitlines()
        assert [line.split()[:3] for line in lines if not line.startswith(" ")] == [
            ["broken", "stdio", "failed"],
            ["off", "stdio", "disabled"],
            ["s", "stdio", "ready"],
        ]
        assert lines[-1] == "  mcp_s_echo  Say it again."
        assert json.loads(cli(env, "list", "--json").splitlines()[-1])["name"] == "s"
        assert "s: ok, double plain 1, protocol 20" in cli(env, "test", "s")
        assert "no such luck" in cli(env, "test", "broken", status=69)
        assert "no MCP server '../x'" in cli(env, "test", "../x", status=1)
        reply = gateway.ask("GET", "/v1/mcp", headers=BEARER)
        assert (reply.status, len(reply.json["servers"])) == (200, 3)
        reply = gateway.ask("POST", "/v1/mcp/s/test", headers=BEARER)
        assert (reply.status, [one["title"] for one in reply.json["tools"]]) == (200, ["echo"])
        assert gateway.ask("POST", "/v1/mcp/nobody/test", headers=BEARER).status == 404
