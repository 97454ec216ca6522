"""Clients that people have, unmodified, against a live stack; each file of tests/clients is run by their own Python."""

import re
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import MODELS
from tests.processes import running
from tests.provider import Exchange, ScriptedProvider, calls, fails, never_ends, provider, says, user_said
from tests.service.gateway import TOKEN, Gateway, environment, serving

ROOT = Path(__file__).parent.parent.parent
PYTHON = ROOT / ".make" / "clients" / "bin" / "python"
CLIENTS = ROOT / "tests" / "clients"
FILES = sorted(one.name for one in CLIENTS.glob("test_*.py"))


def _as_told(exchange: Exchange) -> None:
    """Do as the user's last message says (tests/clients/conftest.py)."""
    last, said = exchange.body["messages"][-1], _plain(user_said(exchange.body))
    if last["role"] == "tool":
        script = says(f"The tool said: {_plain(last['content'])}")
    elif "never ends" in said:
        script = never_ends
    elif found := re.search(r"fails with (\d+)", said):
        error = {"message": "as you wish", "type": "scripted", "code": "scripted"}
        script = fails(int(found[1]), {"error": error}, Retry_After="0")
    elif (named := re.search(r"use (\w+)", said)) and named[1] in _tools(exchange.body):
        script = calls(named[1], '{"city": "Paris"}', call_id="call_1")
    elif exchange.body.get("response_format", {}).get("type") == "json_schema":
        script = says('{"name": "Ada", "age": 36}')
    else:
        script = says(f"You said: {said}")
    (script if exchange.body.get("stream") else _whole(script))(exchange)


def _plain(content: Any) -> str:
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def _tools(body: dict[str, Any]) -> set[str]:
    return {one["function"]["name"] for one in body.get("tools", [])}


def _whole(script: Any) -> Any:
    """Have a script answer whole: its stream, put together."""

    def play(exchange: Exchange) -> None:
        if script is never_ends:
            exchange.closing.wait(20)
            return
        recorded = _Recorded(exchange)
        script(recorded)
        recorded.send()

    return play


class _Recorded:
    """Stands in for an exchange and keeps what would be streamed."""

    def __init__(self, exchange: Exchange) -> None:
        self.body = exchange.body
        self.closing = exchange.closing
        self._exchange = exchange
        self._failed = False
        self._message: dict[str, Any] = {"role": "assistant", "content": ""}
        self._finish = "stop"

    def error(self, status: int, body: Any, **headers: str) -> None:
        self._failed = True
        self._exchange.error(status, body, **headers)

    def begin(self) -> None:
        """Nothing is sent yet."""

    def delta(self, finish: str | None = None, **delta: Any) -> None:
        self._message["content"] += delta.get("content") or ""
        for call in delta.get("tool_calls", []):
            known = self._message.setdefault("tool_calls", [])
            if "id" in call:
                known.append({"id": call["id"], "type": "function", "function": dict(call["function"])})
            else:
                known[-1]["function"]["arguments"] += call["function"]["arguments"]
        self._finish = finish or self._finish

    def end(self, finish: str = "stop") -> None:
        self._finish = finish

    def send(self) -> None:
        """Send it whole."""
        if self._failed:
            return
        usage = {"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16}
        choice = {"index": 0, "message": self._message, "finish_reason": self._finish}
        body = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "scripted"}
        self._exchange.error(200, body | {"choices": [choice], "usage": usage}, Content_Type="application/json")


@dataclass(frozen=True)
class Live:
    """All three services and the scripted model."""

    gateway: Gateway
    model: ScriptedProvider


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("clients")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with provider(_as_told) as model:
        env = environment(folder, port) | model.env
        (folder / "data").mkdir()
        (folder / "data" / "models").symlink_to(MODELS)
        with running(folder, "ocg.embedding", env), running(folder, "ocg.agent", env), serving(folder, env) as found:
            yield Live(found, model)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", FILES)
def test_a_client_works_unmodified(live: Live, tmp_path: Path, name: str) -> None:
    live.model.forget()
    env = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
        "OCG_TEST_URL": live.gateway.url,
        "OCG_TEST_TOKEN": TOKEN,
        "OCG_TEST_PROVIDER": live.model.base_url,
    }
    where = ["-c", str(CLIENTS / "pytest.ini"), "--confcutdir", str(CLIENTS), "-p", "no:cacheprovider"]
    done = subprocess.run(
        [str(PYTHON), "-m", "pytest", "-q", "--tb=short", *where, str(CLIENTS / name)],
        env=env,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{live.gateway.log[-4000:]}"
    assert "Traceback" not in live.gateway.log


def test_there_is_a_file_for_each_client() -> None:
    said = "".join((CLIENTS / name).read_text() for name in FILES)
    named = ["openai", "anthropic", "ollama", "litellm", "langchain_openai", "llm"]
    assert [one for one in named if one not in said] == []
