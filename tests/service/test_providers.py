"""Providers from the outside: ocg-agent as a process, the command line, and servers that play the providers."""

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests import claude
from tests.provider import KEY, echoes, fails, plays, provider, says
from tests.service.agent import Agent, agent

FILES = Path(__file__).parents[1] / "data" / "providers"


@pytest.fixture
def env(env: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """An agent that reads env.config in the test's folder, as the command line does."""
    _configured(tmp_path)
    return env | {"OCG_CONFIG": str(tmp_path / "env.config"), "OCG_AUTO_RECALL": "no"}


def _configured(folder: Path, *lines: str) -> None:
    (folder / "env.config").write_text("".join(f"{line}\n" for line in ("# mine", *lines)))


@contextlib.contextmanager
def _at(folder: Path, env: Mapping[str, str], names: str, more: Mapping[str, str], **urls: str) -> Iterator[Agent]:
    """An agent with these providers, at these places."""
    moved = " ".join(f"{name}={url}" for name, url in urls.items())
    with agent(folder, {**env, **more, "OCG_PROVIDER": names, "OCG_PROVIDER_URLS": moved}) as found:
        yield found


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _ocg(env: dict[str, str], *arguments: str) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "ocg.cli.__main__", "provider", "--manager", "direct", *arguments]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


def _listed(env: dict[str, str]) -> list[dict[str, Any]]:
    status, out, err = _ocg(env, "list", "--json")
    assert status == 0, err
    found: list[dict[str, Any]] = json.loads(out)
    return found


def test_reasoning_is_told_apart_and_is_no_part_of_the_answer(tmp_path: Path, env: dict[str, str]) -> None:
    script = plays((FILES / "deepseek-reasoning-tools.sse").read_bytes(), 300, 700)
    with provider(script, says("noon")) as model, agent(tmp_path, env | model.env) as found:
        events = found.turn("what time is it?", session_id="s")
        kinds = [event["type"] for event in events]
        assert kinds[1:6] == ["reasoning.delta", "reasoning.delta", "text.delta", "tool.call", "tool.result"]
        assert "".join(event["text"] for event in events if event["type"] == "reasoning.delta") == (
            "The user wants the time."
        )
        assert events[-1]["text"] == "noon"
        assert [text for role, text in found.transcript("s") if role == "assistant"] == ["One moment.", "noon"]
        assert model.asked[1]["messages"][-2]["reasoning_content"] == "The user wants the time.", "it wants that back"
        found.say("and now?", session_id="s")
        assert not any("reasoning_content" in one for one in model.asked[-1]["messages"]), "within the turn alone"


def test_a_fallback_answers_is_listed_and_the_first_is_left_alone(tmp_path: Path, env: dict[str, str]) -> None:
    with provider(fails(500, b"out of order")) as broken, provider(echoes) as well:
        well.facts = {"/v1/models": {"data": [{"id": "served", "max_model_len": 4000}]}}
        with _at(tmp_path, env, "custom,vllm", broken.env, vllm=well.base_url) as found:
            for number in range(3):
                assert found.say(f"m{number}") == f"you said: m{number}"
            assert len(broken.asked) > 0
            asked = len(broken.asked)
            assert found.say("again") == "you said: again"
            assert len(broken.asked) == asked, "it is left alone by now"
            first, second, *_ = _listed(env)
            assert (first["name"], first["state"], first["place"]) == ("custom", "open", 1)
            assert "HTTP 500: out of order" in first["why"]
            assert (second["name"], second["state"], second["model"]) == ("vllm", "closed", "served")
            assert found.ask("GET", "/health")[1]["details"]["provider"] == "vLLM"
            text = _ocg(env, "list")[1]
            assert "left alone for" in text
            assert KEY not in text + json.dumps([first, second]) + found.process.log


def test_when_all_fail_the_turn_says_what_each_said(tmp_path: Path, env: dict[str, str], free_port: int) -> None:
    vllm = f"http://127.0.0.1:{free_port}/v1"
    with provider(fails(503, b"busy")) as broken, _at(tmp_path, env, "custom,vllm", broken.env, vllm=vllm) as found:
        failed = found.fail("hello")
        assert failed["code"] == "unavailable"
        assert "HTTP 503: busy; vLLM cannot be reached: Connection refused" in failed["message"]


def test_a_provider_is_tried_and_what_is_wrong_is_said(tmp_path: Path, env: dict[str, str]) -> None:
    with provider(says("ready")) as model, agent(tmp_path, env | model.env) as found:
        status, out, _ = _ocg(env, "test")
        assert (status, "custom: ok, scripted, first word after" in out, "16 tokens: ready" in out) == (0, True, True)
        model.play(fails(401, {"error": {"message": f"wrong key {KEY}"}}))
        status, out, err = _ocg(env, "test", "custom:other", "openai")
        assert (status, out) == (1, "")
        assert "HTTP 401: wrong key [key]" in err
        assert "set OCG_API_KEY to a valid key" in err
        assert "OpenAI wants a key" in err
        assert model.asked[-1]["model"] == "other"
        assert found.ask("POST", "/v1/providers/nobody/test")[0] == 404


def test_using_another_writes_one_line_and_reloads_what_runs(tmp_path: Path, env: dict[str, str]) -> None:
    with provider(says("from the one")) as one:
        _configured(tmp_path, *(f"{key}={value}" for key, value in one.env.items()), "GROQ_API_KEY=sk-groq")
        before = (tmp_path / "env.config").read_text()
        with agent(tmp_path, env) as found:
            assert found.say("hello") == "from the one"
            status, out, err = _ocg(env, "use", "groq:a/b", "custom")
            assert (status, err) == (0, "")
            assert "OCG_PROVIDER=groq:a/b,custom" in out
            assert (tmp_path / "env.config").read_text() == f"{before}OCG_PROVIDER=groq:a/b,custom\n"
            _wait_for(lambda: [(one["name"], one["model"]) for one in _listed(env)[:1]] == [("groq", "a/b")])
            status, out, err = _ocg(env, "use", "openai")
            assert "openai wants a key: set OPENAI_API_KEY" in err
            assert "OCG_PROVIDER=openai\n" in (tmp_path / "env.config").read_text()


def test_a_name_that_is_none_changes_nothing_and_nothing_need_run(tmp_path: Path, env: dict[str, str]) -> None:
    _configured(tmp_path, "OCG_PROVIDER=local")
    status, _, err = _ocg(env, "use", "opnai")
    assert (status, "expected names among local, custom, openai" in err) == (1, True)
    status, _, err = _ocg(env, "use", "custom")
    assert (status, "OCG_BASE_URL, which is not set" in err) == (78, True)
    assert (tmp_path / "env.config").read_text() == "# mine\nOCG_PROVIDER=local\n"
    status, out, _ = _ocg(env, "use", "local")
    assert (status, "nothing runs: it counts from the next start" in out) == (0, True)
    assert _ocg(env, "list")[0] == 69


def test_anthropic_answers_a_turn_with_tools(tmp_path: Path, env: dict[str, str]) -> None:
    with provider(claude.calls("time", '{"zone": "UTC"}', thought="Hm."), claude.says("It is late.")) as server:
        base_url = server.base_url.removesuffix("/v1")
        with _at(tmp_path, env | {"ANTHROPIC_API_KEY": KEY}, "anthropic", {}, anthropic=base_url) as found:
            events = found.turn("what time is it?")
            assert events[-1]["text"] == "It is late."
            assert events[-1]["usage"]["prompt_tokens"] == 22
            assert "reasoning.delta" in [event["type"] for event in events]
            sent = server.asked[1]["messages"][-1]["content"][0]
            assert (sent["type"], sent["tool_use_id"]) == ("tool_result", "toolu_1")
            thinking, use = server.asked[1]["messages"][-2]["content"]
            assert thinking == {"type": "thinking", "thinking": "Hm.", "signature": "SIG"}, "signed, and unchanged"
            assert (use["type"], use["id"], use["input"]) == ("tool_use", "toolu_1", {"zone": "UTC"})
            assert KEY not in found.process.log
