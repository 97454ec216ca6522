"""SIGHUP: the configuration is read again, nobody is cut off, a mistake changes nothing, the rest is named."""

import signal
import threading
from pathlib import Path

import pytest

from tests.provider import ScriptedProvider, calls, provider, says, waits
from tests.service.agent import agent
from tests.service.gateway import configured, environment, serving

_READY = "READY=1"


def _lines_of(model: ScriptedProvider) -> list[str]:
    return [f"{key}={value}" for key, value in model.env.items()]


@pytest.fixture
def env(tmp_path: Path, free_port: int) -> dict[str, str]:
    found = environment(tmp_path, free_port, CONFIGURATION_DIRECTORY=str(tmp_path))
    del found["OCG_UI_TOKEN"], found["OCG_LOG_LEVEL"]
    return found


def test_a_new_token_and_new_hosts_are_taken_over_without_a_connection_dropped(
    tmp_path: Path, env: dict[str, str]
) -> None:
    configured(tmp_path, "OCG_UI_TOKEN=a-token-for-tests")
    with serving(tmp_path, env) as gateway, gateway.socket() as socket:
        configured(tmp_path, "OCG_UI_TOKEN=another", "OCG_ALLOWED_HOSTS=ocg.example")
        gateway.reload(_READY)
        assert gateway.ask("GET", "/v1/models").status == 401
        new = {"Authorization": "Bearer another"}
        assert gateway.ask("GET", "/v1/memories", headers=new, host="ocg.example").status == 503
        socket.send('{"type": "nonsense"}')
        assert "error" in str(socket.recv(timeout=5))


def test_what_takes_a_restart_is_named_and_named_again(tmp_path: Path, env: dict[str, str]) -> None:
    configured(tmp_path, "OCG_UI_TOKEN=a-token-for-tests")
    with serving(tmp_path, env) as gateway:
        configured(tmp_path, "OCG_UI_TOKEN=a-token-for-tests", "OCG_AGENT_SOCK=/nowhere", "OCG_LOG_LEVEL=debug")
        for _ in range(2):  # the environment has OCG_AGENT_SOCK, so that it is not new at all
            gateway.reload(_READY)
        assert not any("restart" in one for one in gateway.process.notifications)
        configured(tmp_path, "OCG_UI_TOKEN=a-token-for-tests", "OCG_LOG_DIR=/elsewhere")
        for _ in range(2):
            gateway.reload("a restart is needed for OCG_LOG_DIR")


def test_a_mistake_changes_nothing_and_is_said(tmp_path: Path, env: dict[str, str]) -> None:
    configured(tmp_path, "OCG_UI_TOKEN=a-token-for-tests")
    with serving(tmp_path, env) as gateway:
        configured(tmp_path, "what is this")
        gateway.reload("could not be reloaded")
        assert gateway.ask("GET", "/v1/memories").status == 503  # the token is still right; only the agent is missing
        assert "env.config:1: expected KEY=VALUE" in gateway.log


def test_a_running_turn_ends_with_its_provider_and_the_next_takes_the_new_one(
    tmp_path: Path, env: dict[str, str]
) -> None:
    gate = threading.Event()
    with provider(waits(gate, says(""), first="from the old ")) as old, provider(says("from the new")) as new:
        configured(tmp_path, "OCG_UI_TOKEN=a-token-for-tests", *_lines_of(old))
        with agent(tmp_path, env) as found, found.opened("hello", session_id="one") as stream:
            stream.until("text.delta")
            found.process.notifications.clear()
            configured(tmp_path, "OCG_UI_TOKEN=a-token-for-tests", *_lines_of(new))
            found.process.popen.send_signal(signal.SIGHUP)
            found.process.wait_for(_READY)
            assert found.say("hello", session_id="two") == "from the new"
            gate.set()
            assert stream.rest()[-1]["text"] == "from the old "
            assert found.say("hello", session_id="one") == "from the new"


def test_settings_that_are_refused_bring_no_rules_along(tmp_path: Path, env: dict[str, str]) -> None:
    token = "OCG_UI_TOKEN=a-token-for-tests"
    with provider(calls("time", "{}"), says("done")) as model:
        configured(tmp_path, token, *_lines_of(model))
        with agent(tmp_path, env) as found:
            rules = Path(env["OCG_DATA_DIR"]) / "policy.toml"
            rules.write_text('[[rule]]\ntool = "time"\ndecision = "deny"\n')
            rules.chmod(0o600)
            configured(tmp_path, token, "OCG_BASE_URL=nonsense")
            found.process.notifications.clear()
            found.process.popen.send_signal(signal.SIGHUP)
            found.process.wait_for("could not be reloaded")
            result = next(one for one in found.turn("what time is it?") if one["type"] == "tool.result")
            assert not result["is_error"]


def test_a_hangup_while_starting_ends_nothing(tmp_path: Path, env: dict[str, str]) -> None:
    configured(tmp_path, "OCG_UI_TOKEN=a-token-for-tests")
    with serving(tmp_path, env) as gateway:
        for _ in range(50):
            gateway.process.popen.send_signal(signal.SIGHUP)
        gateway.reload(_READY)
        assert gateway.process.popen.poll() is None
