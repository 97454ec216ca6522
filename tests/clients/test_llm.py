"""The `llm` command, told of OCG in the file it has for OpenAI-compatible models."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Stack


@pytest.fixture
def home(stack: Stack, tmp_path: Path) -> Path:
    lines = [
        f"- model_id: {name}\n  model_name: {name}\n  api_base: {stack.openai_url}\n  api_key_name: ocg\n"
        "  supports_tools: true\n"
        for name in ("ocg", "custom/scripted")
    ]
    (tmp_path / "extra-openai-models.yaml").write_text("".join(lines))
    (tmp_path / "keys.json").write_text(f'{{"ocg": "{stack.token}"}}')
    return tmp_path


def _llm(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("llm")), *words]
    env = dict(os.environ) | {"LLM_USER_PATH": str(home)}
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=60)


def test_a_chat_streamed_and_whole(home: Path, model: str) -> None:
    assert _llm(home, "-m", model, "hello").stdout == "You said: hello\n"
    assert _llm(home, "-m", model, "--no-stream", "hello").stdout == "You said: hello\n"


def test_a_conversation_goes_on(home: Path, model: str) -> None:
    _llm(home, "-m", model, "hello")
    assert _llm(home, "-c", "again").stdout == "You said: again\n"


def test_a_tool_is_run(home: Path, model: str) -> None:
    function = 'def get_weather(city: str) -> str:\n    "Tell the weather in a city."\n    return f"rain in {city}"\n'
    (home / "tools.py").write_text(function)
    done = _llm(home, "-m", model, "--functions", str(home / "tools.py"), "use get_weather")
    assert "The tool said: rain in Paris" in done.stdout, done.stderr


def test_an_error_is_shown(home: Path) -> None:
    done = _llm(home, "-m", "custom/scripted", "fails with 400")
    assert done.returncode == 1
    assert "as you wish" in done.stderr
